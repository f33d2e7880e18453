// Language models and image folders through the same functions, in memory, with quantised files that compute what is said of them.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { env, pipeline, type TokenClassificationPipeline } from '@huggingface/transformers';
import { isComplete } from '@instatune/search';
import * as tf from '@tensorflow/tfjs';
import { inputTensors, loadCheckpoint, tokenClassification } from '@instatune/supernet';
import { beforeAll, describe, expect, it } from 'vitest';
import { memoryRun, readCard, tune, type TuneProgress } from '../../src/pipeline.ts';
import { readData, type DataOptions } from '../../src/files/read-data.ts';
import { writeOutputs } from '../../src/files/write-outputs.ts';
import {
  bookText,
  imageFolders,
  newFolder,
  reviews,
  taggedConll,
  tinyBert,
  tinyLlama,
  tinyVit,
} from '../helpers/tiny.ts';

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
  const out = join(folder, `${name}-out-${data.label ?? data.labels ?? 'model'}`);
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

  it('tags of words: chosen and kept by F1 of spans, which the file computes too', async () => {
    const train = taggedConll(folder, 160);
    const { outcome, written, out } = await run(
      'bert',
      { train, test: train },
      { budget: 'macs <= 0.8x', learningRate: 0.01, steps: 60, tuneSteps: 10, quantize: 'int8' },
    );
    const { small, full, choice, result, searched } = outcome;
    expect(choice.rule).toBe('best f1 within macs <= 0.8x');
    const within = result.trials
      .filter(isComplete)
      .filter(({ values }) => values['macs']! <= 0.8 * result.baseline!['macs']!);
    expect(choice.point.values['f1']).toBe(Math.max(...within.map(({ values }) => values['f1']!)));
    expect(searched['f1']).toBeGreaterThanOrEqual(choice.point.values['f1']!);
    expect(full['f1']).toBeGreaterThan(0.9);
    expect(small['f1']).toBeGreaterThan(0.8);
    // Spans are harder than words, most of which are O.
    expect(small['accuracy']).toBeGreaterThanOrEqual(small['f1']!);
    const [, float, int8] = written.files;
    expect(float!.quality!['loss']).toBeCloseTo(small['loss']!, 4);
    expect(float!.quality!['f1']).toBeCloseTo(small['f1']!, 6);
    expect(int8!.quality!['f1']).toBeGreaterThan(0.7);
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      architectures: ['BertForTokenClassification'],
      id2label: { 0: 'O', 1: 'B-MOOD', 2: 'B-WORK', 3: 'I-MOOD' },
      label2id: { O: 0, 'B-MOOD': 1, 'B-WORK': 2, 'I-MOOD': 3 },
    });
    const card = readFileSync(join(out, 'README.md'), 'utf8');
    expect(card).toContain('pipeline_tag: token-classification');
    expect(card).toMatch(/\| f1 \| [\d.]+ % \| [\d.]+ % \|/);
    const html = readFileSync(join(out, 'report.html'), 'utf8');
    expect(html).toContain('<th>f1</th>');
    const trained = outcome.refined ? 'It was trained for 10 steps by itself' : 'Another 10 steps by itself';
    for (const text of [card, html]) expect(text).toContain(trained);
    // What both say of the files is so.
    expect(card).toContain("await pipeline('token-classification', '/path/to/this/folder', { dtype: 'q8' })");
    expect(card).toContain('Bytes: `onnx/model_quantized.onnx`, to the byte.');
    expect(html).toContain(
      'bytes is the size of onnx/model_quantized.onnx. The quality of a file was measured on the held-out data, by onnxruntime-node.',
    );
    for (const { name, bytes } of written.files) expect(statSync(join(out, name)).size).toBe(bytes);
    expect(int8!.bytes).toBe(small['bytes']);
    const { kept, before, after } = outcome.reconstructed!;
    expect(kept).toBe(
      after['f1']! > before['f1']! || (after['f1'] === before['f1'] && after['loss']! <= before['loss']!),
    );
    for (const text of [card, html])
      expect(text).toMatch(/fitted again by least squares .* gave loss [\d.]+ → [\d.]+, f1 .* were (kept|left out)/);
    // What was written is a tagger for others too.
    Object.assign(env, { allowRemoteModels: false, localModelPath: `${folder}/`, logLevel: 40 });
    const tagger = (await pipeline('token-classification', basename(out), {
      dtype: 'fp32',
    })) as TokenClassificationPipeline;
    const found = await tagger('the film was very good and the plot dull');
    await tagger.dispose();
    const { model, tokenizer } = await loadCheckpoint(out);
    const rows = tokenClassification(
      [
        {
          tokens: ['the', 'film', 'was', 'very', 'good', 'and', 'the', 'plot', 'dull'],
          labels: Array<number>(9).fill(0),
        },
      ],
      tokenizer!,
    );
    const inputs = inputTensors(await rows.batch([0]));
    const own = tf.tidy(() => Array.from(tf.argMax(model.forward(inputs).logits, 2).dataSync()));
    tf.dispose(Object.values(inputs) as tf.Tensor[]);
    model.dispose();
    const names = outcome.data.classes;
    const spans = own.slice(1, -1).flatMap((label, at) => (label === 0 ? [] : [`${at + 1} ${names[label]}`]));
    expect(found.map(({ index, entity }) => `${index} ${entity}`)).toEqual(spans);
    expect(spans.length).toBeGreaterThan(2);
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
