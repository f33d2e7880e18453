// Language models and image folders through the same functions, in memory, with quantised files that compute what is said of them.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadCheckpoint } from '@instatune/supernet';
import { beforeAll, describe, expect, it } from 'vitest';
import { memoryRun, readCard, tune, type TuneProgress } from '../../src/pipeline.ts';
import { readData, type DataOptions } from '../../src/files/read-data.ts';
import { writeOutputs } from '../../src/files/write-outputs.ts';
import { bookText, imageFolders, newFolder, reviews, tinyBert, tinyLlama, tinyVit } from '../helpers/tiny.ts';

const folder = newFolder();
const effort = { steps: 12, tuneSteps: 4, evaluations: 6, population: 3 };

beforeAll(async () => {
  await tf.setBackend('cpu');
  tf.enableProdMode();
  await Promise.all([
    tinyBert(join(folder, 'bert')),
    tinyLlama(join(folder, 'llama')),
    tinyVit(join(folder, 'vit')),
    imageFolders(folder),
  ]);
  bookText(folder);
});

async function run(name: string, data: Omit<DataOptions, 'seed'>, settings: Parameters<typeof tune>[0]['settings']) {
  const model = join(folder, name);
  const card = await readCard(model);
  const said: TuneProgress[] = [];
  const outcome = await tune({
    model,
    card,
    data: await readData(model, card, { ...data, seed: 1 }),
    settings: { ...effort, ...settings },
    store: memoryRun(),
    onProgress: (progress) => said.push(progress),
  });
  const out = join(folder, `${name}-out-${data.label ?? data.labels ?? ''}`);
  const written = await writeOutputs(outcome, { model, out, madeBy: 'instatune tune' });
  outcome.model.dispose();
  return { outcome, written, out, said };
}

describe('tune', () => {
  it('a language model, in 8 bits', async () => {
    const data = { train: join(folder, 'book.txt'), maxTokens: 16 };
    const { outcome, written, out, said } = await run('llama', data, {
      budget: 'macs <= 0.8x',
      learningRate: 0.01,
      quantize: 'int8',
    });
    const { small, full } = outcome;
    expect(small['macs']! / full['macs']!).toBeLessThanOrEqual(0.8);
    expect(full['perplexity']).toBeCloseTo(Math.exp(full['loss']!), 6);
    const [, float, int8] = written.files;
    expect(float!.quality!['loss']).toBeCloseTo(small['loss']!, 4);
    expect(Math.abs(int8!.quality!['loss']! - small['loss']!)).toBeLessThan(0.1);
    expect(int8!.name).toBe('onnx/model_quantized.onnx');
    expect(statSync(join(out, int8!.name)).size).toBe(int8!.bytes);
    expect(int8!.bytes).toBe(small['bytes']);
    expect(int8!.bytes).toBeLessThan(float!.bytes);
    const stages = [...new Set(said.map(({ stage }) => stage))];
    expect(stages).toEqual(['load', 'train', 'search', 'choose', 'refine', 'measure']);
    expect(said.every(({ done, total }) => done <= total)).toBe(true);
    const card = readFileSync(join(out, 'README.md'), 'utf8');
    expect(card).toContain('pipeline_tag: text-generation');
    expect(card).toMatch(/\| perplexity \| [\d.]+ \| [\d.]+ \|/);
    const { model } = await loadCheckpoint(out);
    expect(model.config.layers).toBe(outcome.subnet.layers);
    model.dispose();
  });

  it('images, in 4 bits, with the head and the order of classes that the checkpoint has', async () => {
    const { outcome, written, out } = await run(
      'vit',
      { train: join(folder, 'images') },
      {
        budget: 'bytes <= 0.8x, accuracy >= baseline - 50%',
        learningRate: 0.005,
        quantize: 'q4',
      },
    );
    expect(outcome.newWeights).toEqual([]);
    expect(outcome.data.classes).toEqual(['dark', 'light']);
    expect(outcome.small['bytes']! / outcome.full['bytes']!).toBeLessThanOrEqual(0.8);
    expect(outcome.small['accuracy']).toBeGreaterThan(0.9);
    const [, float, q4] = written.files;
    expect(float!.quality!['loss']).toBeCloseTo(outcome.small['loss']!, 4);
    expect(q4!.name).toBe('onnx/model_q4.onnx');
    expect(q4!.bytes).toBe(outcome.small['bytes']);
    expect(q4!.quality!['accuracy']).toBeGreaterThan(0.9);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('onnx/model_q4.onnx');
  });

  it('values, and several classes a row', async () => {
    const rows = reviews(80);
    const score = (text: string) => text.split(' ').filter((word) => word === 'good').length + 0.5;
    writeFileSync(
      join(folder, 'scores.csv'),
      `text,score\n${rows.map(({ text }) => `${text},${score(text)}\n`).join('')}`,
    );
    const values = await run(
      'bert',
      { train: join(folder, 'scores.csv'), label: 'score' },
      { budget: 'macs <= 0.8x', learningRate: 0.01 },
    );
    expect(values.outcome.data).toMatchObject({ problem: 'regression', classes: ['value'] });
    const { small } = values.outcome;
    expect(small['r2']).toBeLessThanOrEqual(1);
    expect(values.written.files[1]!.quality!['loss']).toBeCloseTo(small['loss']!, 4);
    expect(values.written.files[1]!.quality!['r2']).toBeCloseTo(small['r2']!, 4);

    const about = rows.map(({ text }) =>
      JSON.stringify({ text, about: ['good', 'film', 'plot'].filter((word) => text.includes(word)) }),
    );
    writeFileSync(join(folder, 'about.jsonl'), about.join('\n'));
    const several = await run(
      'bert',
      { train: join(folder, 'about.jsonl'), labels: 'about' },
      { budget: 'macs <= 0.8x', learningRate: 0.01 },
    );
    expect(several.outcome.data).toMatchObject({
      problem: 'multi_label_classification',
      classes: ['film', 'good', 'plot'],
    });
    expect(several.written.files[1]!.quality!['loss']).toBeCloseTo(several.outcome.small['loss']!, 4);
    expect(several.written.files[1]!.quality!['accuracy']).toBeCloseTo(several.outcome.small['accuracy']!, 6);
    const config = JSON.parse(readFileSync(join(several.out, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      problem_type: 'multi_label_classification',
      id2label: { 0: 'film', 1: 'good', 2: 'plot' },
    });
  });
});
