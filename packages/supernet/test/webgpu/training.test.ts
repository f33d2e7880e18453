// Models on webgpu: goldens, a run that follows the cpu's, resume, and buffers that do not grow.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import type { Dataset, HostBatch } from '../../src/data/dataset.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { TeacherCache } from '../../src/train/teacher/teacher-cache.ts';
import type { FineTuneOptions } from '../../src/train/run/options.ts';
import { memoryStore } from '../../src/train/state/store.ts';
import { clippedStep } from '../helpers/adamw.ts';
import { ENCODER_GOLDENS, GOLDENS, goldenPath, loadGolden } from '../helpers/golden.ts';
import { patternedTokens, tinyBert, tinyLlama, weightsOf } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const windows = textWindows(patternedTokens(400), { length: 8 });

/** Texts of unlike length, padded. */
const sentences: Dataset = {
  length: 12,
  batch(indices): HostBatch {
    const shape = [indices.length, 6] as const;
    const data = new Int32Array(indices.length * 6);
    const mask = new Int32Array(indices.length * 6);
    for (const [row, index] of indices.entries()) {
      const length = 2 + (index % 5);
      for (let t = 0; t < length; t++) data[row * 6 + t] = 1 + ((index * 7 + t * 3) % 31);
      mask.fill(1, row * 6, row * 6 + length);
    }
    const labels = Int32Array.from(indices, (index) => index % 3);
    return { size: indices.length, inputIds: { shape, data }, attentionMask: { shape, data: mask }, labels };
  },
};

async function trained(
  make: () => TransformerModel,
  data: Dataset,
  options: FineTuneOptions,
  onStep?: (step: number) => void,
) {
  const model = make();
  const losses: number[] = [];
  await fineTune(model, data, {
    ...options,
    onProgress: ({ step, loss }) => {
      losses.push(loss);
      onStep?.(step);
    },
  });
  const weights = await weightsOf(model);
  model.dispose();
  return { losses, weights };
}

describeGpu('training', () => {
  beforeAll(startWebGpu);

  it.skipIf(!goldenPath('llama-gqa')).each([...GOLDENS, ...ENCODER_GOLDENS])('golden %s', async (name) => {
    await tf.setBackend('webgpu');
    const golden = await loadGolden(goldenPath(name)!);
    const { model } = await loadCheckpoint(goldenPath(name)!);
    const { logits, hiddenStates = [] } = model.forward(golden.inputs, { hiddenStates: true });
    const tolerance = { atol: 2e-4, rtol: 0 };
    // What DeBERTa's rows of padding become is nobody's business.
    const compared = model.config.relativeAttention ? [] : hiddenStates;
    for (const [index, state] of compared.entries()) {
      expect(await state.data(), `hidden state ${index}`).toBeAllclose(golden.hiddenStates[index]!, tolerance);
    }
    expect(await logits.data(), 'logits').toBeAllclose(golden.logits, tolerance);
    model.dispose();
  });

  it('a padded BERT is trained as a super-network as on the cpu', async () => {
    const optimizer = { weightDecay: 0.1, layerDecay: 0.9 };
    const options = { steps: 3, batchSize: 4, learningRate: 3e-3, seed: 3, optimizer };
    await tf.setBackend('cpu');
    const expected = await trained(tinyBert, sentences, options);
    await tf.setBackend('webgpu');
    const actual = await trained(tinyBert, sentences, options);
    expect(actual.losses).toBeAllclose(expected.losses, { rtol: 2e-4, atol: 0 });
    // The key bias moves no loss: its gradient is rounding, which AdamW scales up to whole steps.
    for (const [name, weight] of [...expected.weights].filter(([slot]) => !slot.endsWith('key.bias'))) {
      expect(actual.weights.get(name)!, name).toBeAllclose(weight, { rtol: 0, atol: 3e-4 });
    }
  });

  it('a Llama is trained as on the cpu over more steps than are read at once, and holds no more for it', async () => {
    const options = { steps: 17, batchSize: 2, learningRate: 3e-3, seed: 3, strategy: 'plain' } as const;
    await tf.setBackend('cpu');
    const expected = await trained(tinyLlama, windows, options);
    await tf.setBackend('webgpu');
    const held: string[] = [];
    const actual = await trained(tinyLlama, windows, options, (step) => {
      const { numTensors, numBytesInGPU } = tf.memory() as tf.MemoryInfo & { numBytesInGPU: number };
      if (step % 8 === 0) held.push(`${numTensors} tensors, ${numBytesInGPU} bytes`);
    });
    expect(actual.losses).toBeAllclose(expected.losses, { rtol: 2e-4, atol: 0 });
    expect(held).toHaveLength(2);
    expect(held[1]).toBe(held[0]);
  });

  it.each([1e-3, 0.5])('a gradient is clipped to a norm of %s', async (limit) => {
    await tf.setBackend('webgpu');
    const { norm, reported, actual, expected } = await clippedStep(limit);
    expect(norm).toBeGreaterThan(limit);
    expect(reported).toBeCloseTo(norm, 4);
    for (const [name, weight] of expected)
      expect(actual.get(name)!, name).toBeAllclose(weight, { rtol: 0, atol: 2e-6 });
  });

  it('an ensemble teaches as on the cpu', async () => {
    const options = { steps: 3, batchSize: 4, learningRate: 3e-3, seed: 3, gamma: 1, temperature: 2 } as const;
    const run = async (backend: string) => {
      await tf.setBackend(backend);
      const teacher = [tinyLlama(2), tinyLlama(3)];
      const result = await trained(tinyLlama, windows, { ...options, teacher });
      for (const model of teacher) model.dispose();
      return result;
    };
    const expected = await run('cpu');
    expect((await run('webgpu')).losses).toBeAllclose(expected.losses, { rtol: 2e-4, atol: 0 });
  });

  it('hidden states of padded texts teach as on the cpu, whoever keeps what their teacher says', async () => {
    const options = { steps: 2, batchSize: 4, learningRate: 3e-3, seed: 3, gamma: 1, hiddenStates: 2 } as const;
    const run = async (backend: string, isKept: boolean) => {
      await tf.setBackend(backend);
      const model = tinyBert(2);
      const cache = new TeacherCache(model);
      const { losses } = await trained(tinyBert, sentences, { ...options, teacher: isKept ? cache : model });
      expect(cache.statistics()).toMatchObject({ hits: 0, misses: 0 });
      cache.dispose();
      model.dispose();
      return losses;
    };
    const expected = await run('cpu', false);
    expect(await run('webgpu', true)).toBeAllclose(expected, { rtol: 2e-4, atol: 0 });
  });

  it('a run stopped and resumed is the run that was not', async () => {
    await tf.setBackend('webgpu');
    const options = { steps: 4, batchSize: 4, learningRate: 3e-3, seed: 4, strategy: 'plain' } as const;
    const whole = await trained(tinyLlama, windows, options);
    const checkpoint = { store: memoryStore() };
    const abort = new AbortController();
    const first = tinyLlama();
    const stopped = fineTune(first, windows, {
      ...options,
      checkpoint: { ...checkpoint, everySteps: 2 },
      signal: abort.signal,
      onProgress: ({ step }) => step === 2 && abort.abort(),
    });
    await expect(stopped).rejects.toThrow(/aborted/);
    first.dispose();
    const resumed = await trained(tinyLlama, windows, { ...options, checkpoint });
    expect(resumed.weights).toEqual(whole.weights);
  });
});
