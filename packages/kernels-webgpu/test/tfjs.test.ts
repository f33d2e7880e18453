// The kernels on tfjs' webgpu backend: same device, same buffers, inside tidy and under gradients.
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { describeGpu } from '@hip/testing';
import {
  blockSparseAttention as sparseOracle,
  blockSparseAttentionGradient,
  denseAttention,
  denseMask,
  resolveConfig,
  searchBlockMask,
  type AttentionShape,
  type BlockMask,
} from '@hip/mask-search';
import {
  blockSparseAttention,
  flashAttention,
  hipAttention,
  registerWebgpuKernels,
  type WebgpuKernels,
} from '../src/tfjs/index.ts';
import { randomMask, randomTensors, randomValues } from './support/cases.ts';
import { spoiled } from './support/isolation.ts';

const SHAPE: AttentionShape = { batch: 1, queries: 40, keys: 72, heads: 2, kvHeads: 1, headDim: 32 };
const CONFIG = resolveConfig({ k: 16, blockQ: 16, blockK: 8, window: 16, sink: 8, stages: undefined });
const TOLERANCE = { rtol: 3e-5, atol: 1e-5 };

describeGpu('tfjs kernels', (gpu) => {
  let kernels: WebgpuKernels;
  const values = randomTensors(SHAPE, 3);
  let q: tf.Tensor4D;
  let k: tf.Tensor4D;
  let v: tf.Tensor4D;
  beforeAll(async () => {
    // Installs navigator.gpu before tfjs looks for it.
    await gpu.adapter();
    await import('@tensorflow/tfjs-backend-webgpu');
    await tf.setBackend('webgpu');
    kernels = await registerWebgpuKernels();
    const { batch, queries, keys, heads, kvHeads, headDim } = SHAPE;
    q = tf.tensor4d(values.q, [batch, queries, heads, headDim]);
    k = tf.tensor4d(values.k, [batch, keys, kvHeads, headDim]);
    v = tf.tensor4d(values.v, [batch, keys, kvHeads, headDim]);
  });
  afterAll(() => {
    kernels.close();
    tf.dispose([q, k, v]);
  });

  it('shares the device', () => {
    expect(kernels.context.device).toBe((tf.backend() as unknown as { device: GPUDevice }).device);
  });

  it('sees what tfjs computed just before, and tfjs sees its output, inside tidy without leaks', async () => {
    const before = tf.memory().numTensors;
    const out = tf.tidy(() => flashAttention(q.mul(2).div(2), k, v).mul(3));
    expect(tf.memory().numTensors).toBe(before + 1);
    const expected = denseAttention(values.q, values.k, values.v, SHAPE).map((x) => 3 * x);
    expect(await out.data()).toBeAllclose(expected, TOLERANCE);
    out.dispose();
    await kernels.context.settled();
  });

  it('hipAttention equals search and attention of the reference, and hands the mask over', async () => {
    const found: BlockMask[] = [];
    const out = hipAttention(q, k, v, { config: CONFIG, onMask: (mask) => found.push(mask) });
    const mask = searchBlockMask(values.q, values.k, SHAPE, CONFIG);
    expect(await out.data()).toBeAllclose(sparseOracle(values.q, values.k, values.v, SHAPE, mask), TOLERANCE);
    await expect.poll(() => found.length).toBe(1);
    expect(found[0]).toEqual(mask);
    out.dispose();
  });

  it('a NaN reaches the rows that see it, and no other', async () => {
    const { queries, keys, heads, headDim } = SHAPE;
    const [row, key] = [20, 20 + keys - queries];
    const odd = tf.tensor4d(spoiled(values.v, key, headDim, Number.NaN), v.shape);
    for (const attention of [
      flashAttention,
      (...all: [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D]) => hipAttention(...all, { config: CONFIG }),
    ]) {
      const [clean, out] = [attention(q, k, v), attention(q, k, odd)];
      const width = heads * headDim;
      const [expected, actual] = [await clean.data(), await out.data()];
      expect(actual.slice(0, row * width)).toEqual(expected.slice(0, row * width));
      // The window holds the key for its 16 positions.
      for (let after = row; after < row + 16; after++) expect(actual[after * width]).toBeNaN();
      tf.dispose([clean, out]);
    }
    odd.dispose();
  });

  it('takes causality from the configuration', async () => {
    const full = { ...CONFIG, causal: false };
    const out = hipAttention(q, k, v, { config: full });
    const mask = searchBlockMask(values.q, values.k, SHAPE, full);
    expect(await out.data()).toBeAllclose(sparseOracle(values.q, values.k, values.v, SHAPE, mask), TOLERANCE);
    out.dispose();
  });

  it('has gradients equal to float64', async () => {
    const mask = randomMask(SHAPE, {
      blockQ: 16,
      blockK: 8,
      capacity: 4,
      sink: 8,
      window: 16,
      causal: true,
      shared: false,
      seed: 5,
    });
    const weights = randomValues(values.q.length, 9);
    const loss = tf.tensor4d(weights, q.shape);
    const hip = searchBlockMask(values.q, values.k, SHAPE, CONFIG);
    const cases: [BlockMask, (a: tf.Tensor4D, b: tf.Tensor4D, c: tf.Tensor4D) => tf.Tensor4D][] = [
      [denseMask(SHAPE, true), (a, b, c) => flashAttention(a, b, c)],
      [mask, (a, b, c) => blockSparseAttention(a, b, c, mask)],
      [hip, (a, b, c) => hipAttention(a, b, c, { config: CONFIG })],
    ];
    for (const [used, attention] of cases) {
      const before = tf.memory().numTensors;
      const gradients = tf.grads((a, b, c) =>
        attention(a as tf.Tensor4D, b as tf.Tensor4D, c as tf.Tensor4D)
          .mul(loss)
          .sum(),
      )([q, k, v]);
      expect(tf.memory().numTensors).toBe(before + 3);
      const expected = blockSparseAttentionGradient(values.q, values.k, values.v, weights, SHAPE, used);
      for (const [i, name] of (['q', 'k', 'v'] as const).entries()) {
        expect(await gradients[i]!.data()).toBeAllclose(expected[name], { rtol: 1e-4, atol: 5e-5 });
      }
      tf.dispose(gradients);
    }
    loss.dispose();
  });

  it('refuses what it cannot take', () => {
    const short = tf.zeros<tf.Rank.R4>([1, 8, 2, 20]);
    expect(() => flashAttention(short, short, short)).toThrow(expect.objectContaining({ code: 'unsupported' }));
    expect(() => flashAttention(q, k, q)).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
    const bytes = (): number => (tf.memory() as unknown as { numBytesInGPU: number }).numBytesInGPU;
    const before = bytes();
    expect(() => flashAttention(q, k, v, { scale: NaN })).toThrow(expect.objectContaining({ code: 'invalid-config' }));
    const mask = { ...searchBlockMask(values.q, values.k, SHAPE, CONFIG), window: Infinity };
    expect(() => blockSparseAttention(q, k, v, mask)).toThrow(expect.objectContaining({ code: 'invalid-mask' }));
    expect(bytes()).toBe(before);
    short.dispose();
  });
});
