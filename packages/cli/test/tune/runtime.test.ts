// Latencies on the runtime that the model is for: onnxruntime and @hip/llm run what the search times, and what is missing is said.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { fullSubnet, loadCheckpoint, smallestSubnet, type LatencyRunner } from '@instatune/supernet';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readData } from '../../src/files/read-data.ts';
import { openRuntime, RUNTIMES } from '../../src/files/runtime.ts';
import { writeOutputs } from '../../src/files/write-outputs.ts';
import { memoryRun, planRun, readCard, RelativeLatency, tune } from '../../src/pipeline.ts';
import { readCommand } from '../../src/tune/arguments.ts';
import { bookText, newFolder, reviewsCsv, tinyBert, tinyLlama } from '../helpers/tiny.ts';

const folder = newFolder();
const settings = { budget: 'latency <= 5x', steps: 4, tuneSteps: 1, evaluations: 4, population: 2 };

/** A runner that counts what it makes ready and lets go of. */
function counting(runner: LatencyRunner) {
  const counts = { prepared: 0, passes: 0, disposed: 0 };
  const counted: LatencyRunner = {
    name: runner.name,
    async prepare(...given) {
      counts.prepared++;
      const network = await runner.prepare(...given);
      return {
        run: () => (counts.passes++, network.run()),
        dispose: () => (counts.disposed++, network.dispose()),
      };
    },
  };
  return { runner: counted, counts };
}

describe('--runtime', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
    tf.enableProdMode();
    await Promise.all([tinyBert(join(folder, 'bert')), tinyLlama(join(folder, 'llama'))]);
    reviewsCsv(folder, 60);
    bookText(folder);
  });
  afterEach(() => vi.doUnmock('@hip/llm'));

  it.each([
    [
      'onnxruntime-node',
      'bert',
      { train: join(folder, 'train.csv'), text: 'sentence', label: 'verdict' },
      'int8',
      'q8',
    ],
    ['@hip/llm', 'llama', { train: join(folder, 'book.txt'), maxTokens: 12 }, 'q4', 'q4'],
  ] as const)('%s times every candidate, and the reports name it', async (name, kind, given, quantize, weights) => {
    const model = join(folder, kind);
    const card = await readCard(model);
    const data = await readData(model, card, { ...given, seed: 1 });
    const opened = await openRuntime(name, data.task, { quantize });
    expect(opened!.name).toBe(`${name}, weights ${weights}`);
    const { runner, counts } = counting(opened!);
    // Blocks that are left out are run as well.
    const space = { skip: { attention: [1], ffn: [0, 1] } };
    const options = { model, card, data, settings: { ...settings, quantize, space }, runner };
    const plan = await planRun(options);
    expect(plan.timed.latency).toBeGreaterThan(0);
    expect(counts).toMatchObject({ prepared: 2, disposed: 2 });
    const outcome = await tune({ ...options, store: memoryRun() });
    expect(outcome.runtime).toBe(opened!.name);
    expect(outcome.full['latency']).toBeGreaterThan(0);
    expect(outcome.small['latency']).toBeGreaterThan(0);
    for (const { values } of outcome.result.front) expect(values['latency']).toBeGreaterThan(0);
    expect(counts.prepared).toBeGreaterThan(4);
    expect(counts.disposed).toBe(counts.prepared);
    const out = join(folder, `${kind}-out`);
    await writeOutputs(outcome, { model, out, madeBy: 'instatune tune' });
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toContain(`Latency: ${opened!.name}, the machine`);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain(`latencies on ${opened!.name}`);
    outcome.model.dispose();
  });

  it('makes the full network ready once, and lets go of it', async () => {
    const { model } = await loadCheckpoint(join(folder, 'bert'));
    const { runner, counts } = counting((await openRuntime('onnxruntime-node', 'text-classification'))!);
    {
      await using latency = new RelativeLatency(model, { tokens: 8, runner });
      for (let i = 0; i < 3; i++) await latency.of(smallestSubnet(model.space), undefined, 1);
      await latency.of(fullSubnet(model.space), undefined, 1);
      expect(counts).toMatchObject({ prepared: 4, disposed: 3 });
    }
    expect(counts.disposed).toBe(4);
    model.dispose();
  });

  it('another runtime is another search', async () => {
    const model = join(folder, 'bert');
    const card = await readCard(model);
    const data = await readData(model, card, {
      train: join(folder, 'train.csv'),
      text: 'sentence',
      label: 'verdict',
      seed: 1,
    });
    const store = memoryRun();
    (await tune({ model, card, data, settings, store })).model.dispose();
    const runner = await openRuntime('onnxruntime-node', data.task);
    await expect(tune({ model, card, data, settings, store, ...(runner && { runner }) })).rejects.toMatchObject({
      code: 'other-run',
    });
  });

  it('says what cannot be', async () => {
    await expect(openRuntime('@hip/llm', 'text-classification')).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('runs language models') as string,
    });
    vi.doMock('@hip/llm', () => {
      throw new Error('Cannot find package');
    });
    await expect(openRuntime('@hip/llm', 'language-modelling')).rejects.toMatchObject({
      code: 'not-installed',
      message: expect.stringContaining('npm i @hip/llm') as string,
    });
    expect(await openRuntime('tfjs', 'text-classification')).toBeUndefined();
    const given = { model: 'm', train: 't.csv', budget: 'macs <= 0.5x', out: 'o' };
    expect(RUNTIMES.map((runtime) => readCommand({ ...given, runtime }).runtime)).toEqual([...RUNTIMES]);
    expect(readCommand(given).runtime).toBe('tfjs');
    expect(() => readCommand({ ...given, runtime: 'onnx' })).toThrow(
      /--runtime is "onnx": use tfjs, onnxruntime-node, onnxruntime-web, onnxruntime-web\/webgpu, @hip\/llm/,
    );
  });
});
