// How much data a fit looks at: enough for its unknowns, as much as there is, and no more than training took.
import { join } from 'node:path';
import { loadCheckpoint, smallestSubnet, type Dataset, type ElasticModel } from '@instatune/supernet';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { batchesToFit, withCalibration } from '../../src/run/calibration.ts';
import { canReconstruct, examplesToFit } from '../../src/run/reconstruct.ts';
import { newFolder, tinyBert } from '../helpers/tiny.ts';

/** Texts of 10 tokens, 2 of them padding. */
const texts = (length: number): Dataset => ({
  length,
  batch: (indices) => {
    const shape = [indices.length, 10] as const;
    const mask = Int32Array.from({ length: 10 * indices.length }, (_, at) => (at % 10 < 8 ? 1 : 0));
    return {
      size: indices.length,
      inputIds: { shape, data: mask },
      attentionMask: { shape, data: mask },
      labels: new Int32Array(indices.length),
    };
  },
});

let model: ElasticModel;
beforeAll(async () => {
  await tf.setBackend('cpu');
  ({ model } = await loadCheckpoint(await tinyBert(join(newFolder(), 'bert'))));
});

it('takes four real tokens for each unit, at least four batches of 32 texts', async () => {
  expect(await batchesToFit(texts(5000), model, 640)).toBe(10); // 2,560 of 256 a batch
  expect(await batchesToFit(texts(5000), model, 16)).toBe(4);
  expect(await batchesToFit(texts(5000), model, 64_000)).toBe(32);
  expect(await batchesToFit(texts(70), model, 640)).toBe(3);
  expect(await batchesToFit(texts(5000), model, 640, 0)).toBe(1);
});

it('takes no longer than training did', async () => {
  const subnet = smallestSubnet(model.space);
  expect(canReconstruct(model, subnet)).toBe(true);
  const train = texts(5000);
  const ofBatch = 4 * 32;
  expect(await examplesToFit(model, subnet, { train, steps: 10_000, batchSize: 16 })).toBe(4 * ofBatch);
  expect(await examplesToFit(model, subnet, { train, steps: 6, batchSize: 8 })).toBe(2 * ofBatch);
  expect(await examplesToFit(model, subnet, { train, steps: 1, batchSize: 8 })).toBe(ofBatch);
});

it('frees its batches', async () => {
  const before = tf.memory().numTensors;
  expect(await withCalibration(texts(70), async (batches) => batches.length, 8)).toBe(3);
  await expect(withCalibration(texts(70), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(tf.memory().numTensors).toBe(before);
});
