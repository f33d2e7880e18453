// Latency on other runtimes: every runner runs the sub-network it is given, in turn, and lets go of it.
import * as ort from 'onnxruntime-node';
import * as tf from '@tensorflow/tfjs';
import { memoryFiles } from '@hip/checkpoints';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { fullSubnet, smallestSubnet } from '../../src/elastic/subnets.ts';
import { checkpointRunner, measureOn, onnxRunner, pageRunner, tfjsRunner } from '../../src/latency/index.ts';
import type { LatencyRunner } from '../../src/latency/index.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama, tinyVit } from '../helpers/tiny.ts';

const QUICK = { sequence: 8, repeats: 3, warmup: 1 };

describe('latency on', () => {
  beforeAll(() => useBackend('wasm'));

  it.each([
    ['onnxruntime-node, BERT', () => tinyBert(), onnxRunner(ort as never)],
    ['onnxruntime-node, Llama in 8 bits', () => tinyLlama(), onnxRunner(ort as never, { dtype: 'q8' })],
    ['onnxruntime-node, ViT', () => tinyVit(), onnxRunner(ort as never, { session: { executionProviders: ['cpu'] } })],
    ['tfjs here', () => tinyLlama(), tfjsRunner()],
    ['tfjs-cpu', () => tinyBert(), tfjsRunner('cpu')],
  ])('%s', async (_, create, runner) => {
    const model = create();
    const before = tf.memory().numTensors;
    const subnets = [fullSubnet(model.space), smallestSubnet(model.space)];
    const found = await measureOn(runner, model, subnets, QUICK);
    expect(found.map(({ repeats }) => repeats)).toEqual([3, 3]);
    for (const { minMs, medianMs, lowerMs, upperMs } of found) {
      expect(minMs).toBeGreaterThan(0);
      expect([minMs, lowerMs, medianMs, upperMs]).toEqual(
        [minMs, lowerMs, medianMs, upperMs].toSorted((a, b) => a - b),
      );
    }
    expect([tf.getBackend(), tf.memory().numTensors]).toEqual(['wasm', before]);
    model.dispose();
  });

  it('a page: by its clock, of inputs that can be sent', async () => {
    const model = tinyBert();
    const seen: string[] = [];
    let closed = 0;
    const runner = pageRunner('a page', async (bytes, feeds) => {
      // What a page would do with them.
      const session = await ort.InferenceSession.create(bytes);
      const sent = JSON.parse(JSON.stringify(feeds)) as typeof feeds;
      expect(Object.keys(sent).toSorted()).toEqual([...session.inputNames].toSorted());
      seen.push(sent['input_ids']!.dims.join());
      let pass = 0;
      return { pass: async () => 40 + (pass += 1), close: () => void (closed += 1) };
    });
    const [latency] = await measureOn(runner, model, undefined, { ...QUICK, batch: 2 });
    expect([latency!.medianMs, latency!.minMs, seen, closed]).toEqual([43, 42, ['2,8'], 1]);
    model.dispose();
  });

  it('what loads a checkpoint: is given the sub-network', async () => {
    const model = tinyLlama();
    const widths: number[] = [];
    const runner = checkpointRunner('@hip/llm', async (files) => {
      const { model: loaded } = await loadCheckpoint(memoryFiles(new Map(files)));
      widths.push(loaded.config.layers);
      const run = async (ids: readonly number[]) =>
        tf.tidy(
          () => void loaded.forward({ inputIds: tf.tensor2d([...ids], [1, ids.length], 'int32') }).logits.dataSync(),
        );
      return { run, dispose: () => loaded.dispose() };
    });
    const subnets = [fullSubnet(model.space), smallestSubnet(model.space)];
    await measureOn(runner, model, subnets, QUICK);
    expect(widths).toEqual([2, 1]);
    await expect(measureOn(runner, model, subnets, { ...QUICK, batch: 2 })).rejects.toMatchObject({
      code: 'invalid-option',
    });
    model.dispose();
  });

  it('what fails lets go of what was ready', async () => {
    const model = tinyBert();
    let [ready, disposed] = [0, 0];
    const runner: LatencyRunner = {
      name: 'breaks',
      prepare: async () => {
        if (++ready === 2) throw new Error('no room');
        return { run: async () => undefined, dispose: () => void (disposed += 1) };
      },
    };
    const full = fullSubnet(model.space);
    await expect(measureOn(runner, model, [full, full], QUICK)).rejects.toThrow('no room');
    expect(disposed).toBe(1);
    const wrong = { code: 'invalid-option' };
    await expect(measureOn(runner, model, [full], { repeats: 0 })).rejects.toMatchObject(wrong);
    await expect(measureOn(tfjsRunner('nowhere'), model, [full], QUICK)).rejects.toMatchObject(wrong);
    model.dispose();
  });
});
