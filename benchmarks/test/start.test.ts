// What a sub-network starts from: as it is cut or fitted again, whichever is better on the search split.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  evaluate,
  loadCheckpoint,
  splitText,
  uniformSubnet,
  type Dataset,
  type ElasticModel,
} from '@instatune/supernet';
import { startTfjs } from '../src/instatune/backend.ts';
import { startOf } from '../src/instatune/start.ts';

const ROOT = join(import.meta.dirname, '../..');
let model: ElasticModel;
let train: Dataset;
let validation: Dataset;

beforeAll(async () => {
  await startTfjs('wasm');
  const loaded = await loadCheckpoint(join(ROOT, 'apps/demo/model'));
  const widest = Math.max(...loaded.model.space.ffn);
  loaded.model.dispose();
  ({ model } = await loadCheckpoint(join(ROOT, 'apps/demo/model'), { space: { ffn: [widest / 2, widest] } }));
  const ids = loaded.tokenizer!.encode(readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8'));
  ({ train, validation } = splitText(ids, { length: 32, validation: 0.05 }));
});
afterAll(() => model.dispose());

const subnet = () => {
  const { layers, heads, ffn } = model.space;
  return uniformSubnet(model.space, Math.max(...layers), Math.max(...heads), Math.min(...ffn));
};
const lossOf = async (one: ElasticModel) => (await evaluate(one, validation)).loss;
const options = () => ({ superNetwork: model, train, batchSize: 8, lossOf });

it('takes the fitted one where that is better, and frees the other', async () => {
  // Tables of positions are made at the first use, and stay.
  await lossOf(model);
  const before = tf.memory().numTensors;
  const { model: start, fit } = await startOf(subnet(), { ...options(), examples: 24 });
  expect(fit!.fittedLoss).toBeLessThan(fit!.cutLoss);
  expect(await lossOf(start)).toBeCloseTo(fit!.fittedLoss, 5);
  start.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

it('takes the cut one where the fitted one is worse', async () => {
  let calls = 0;
  const { model: start, fit } = await startOf(subnet(), { ...options(), examples: 8, lossOf: async () => calls++ });
  expect(fit).toMatchObject({ cutLoss: 0, fittedLoss: 1 });
  const { model: cut } = await startOf(subnet(), { ...options(), examples: 0 });
  for (const [name, weight] of cut.weights) expect(await start.weights.get(name)!.data()).toEqual(await weight.data());
  start.dispose();
  cut.dispose();
});

it('fits nothing without examples, and keeps nothing of a start that failed', async () => {
  const before = tf.memory().numTensors;
  const { model: start, fit } = await startOf(subnet(), { ...options(), examples: 0 });
  expect(fit).toBeUndefined();
  start.dispose();
  const lost = () => Promise.reject(new Error('lost'));
  await expect(startOf(subnet(), { ...options(), examples: 8, lossOf: lost })).rejects.toThrow('lost');
  expect(tf.memory().numTensors).toBe(before);
});
