import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import {
  blockSparseAttention,
  blockSparseAttentionGradient,
  denseAttention,
  denseMask,
  searchBlockMask,
  DEFAULT_CONFIG,
  voteStages,
  type BlockMask,
  type HipConfig,
} from '@hip/mask-search';
import type { CpuRuntime } from '../src/index.ts';
import {
  blockSparseAttention as blockSparse,
  flashAttention,
  hipAttention,
  registerCpuKernels,
} from '../src/tfjs/index.ts';

const shape = { batch: 1, queries: 120, keys: 150, heads: 4, kvHeads: 2, headDim: 8 };
const config = {
  k: 32,
  blockK: 8,
  window: 16,
  sink: 8,
  stages: [
    { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'bound' },
    { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact' },
  ],
} as const;

/** A budget that 150 keys exceed. */
const small = { k: 16, window: 64, sink: 2, remainder: { block: 8, most: 4 } } as const;

describe.each(['cpu', 'wasm'])('tfjs kernels on the %s backend', (backend) => {
  let runtime: CpuRuntime;
  beforeAll(async () => {
    setWasmPaths(join(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')), '/'));
    await tf.setBackend(backend);
    await tf.ready();
    runtime = await registerCpuKernels({ threads: 2 });
  });
  afterAll(() => runtime.close());

  const inputs = () => ({
    q: tf.randomUniform<tf.Rank.R4>([1, 120, 4, 8], -1, 1, 'float32', 1),
    k: tf.randomUniform<tf.Rank.R4>([1, 150, 2, 8], -1, 1, 'float32', 2),
    v: tf.randomUniform<tf.Rank.R4>([1, 150, 2, 8], -1, 1, 'float32', 3),
  });

  it('keeps NaN from the rows before it, forward and backward', () => {
    const { q, k, v } = inputs();
    const spoilt = (x: tf.Tensor4D): tf.Tensor4D => {
      const values = x.dataSync().slice() as Float32Array;
      values.fill(NaN, 100 * 16, 101 * 16);
      return tf.tensor4d(values, x.shape);
    };
    const mask = runtime.maskSearch(q.dataSync() as Float32Array, k.dataSync() as Float32Array, shape, config);
    const ops = {
      flash: (a: tf.Tensor4D, b: tf.Tensor4D, c: tf.Tensor4D) => flashAttention(a, b, c),
      hip: (a: tf.Tensor4D, b: tf.Tensor4D, c: tf.Tensor4D) => hipAttention(a, b, c, { config }),
      sparse: (a: tf.Tensor4D, b: tf.Tensor4D, c: tf.Tensor4D) => blockSparse(a, b, c, mask),
    };
    for (const [name, op] of Object.entries(ops)) {
      const before = (x: tf.Tensor): number[] => [...(x.dataSync() as Float32Array).subarray(0, 70 * 32)];
      const gradient = (b: tf.Tensor4D, c: tf.Tensor4D) => tf.grad((a) => tf.sum(op(a as tf.Tensor4D, b, c)))(q);
      const expected = [before(op(q, k, v)), before(gradient(k, v))];
      for (const [bad, c] of [
        [spoilt(k), v],
        [k, spoilt(v)],
      ] as const) {
        // Row 70 stands at position 100.
        expect([before(op(q, bad, c)), before(gradient(bad, c))], name).toEqual(expected);
      }
    }
  });

  it('takes causality from the configuration unless told', () => {
    const { q, k, v } = inputs();
    const values = (attributes: object): Float32Array =>
      tf.tidy(() => hipAttention(q, k, v, attributes).dataSync()) as Float32Array;
    const full = { ...config, causal: false };
    const open = values({ config, causal: false });
    const closed = values({ config });
    expect(open).not.toEqual(closed);
    expect(values({ config: full })).toEqual(open);
    expect(values({ config: full, causal: undefined })).toEqual(open);
    expect(values({ config: full, causal: true })).toEqual(closed);
    tf.dispose([q, k, v]);
  });

  it('votes take the scale and the soft-cap of the call; pseudo-keys have gradients', async () => {
    const { q, k, v } = inputs();
    const voting: Partial<HipConfig> = { ...DEFAULT_CONFIG, ...small, stages: voteStages(16) };
    const options = { scale: 3, softcap: 1 };
    const attributes = { config: voting, ...options };
    const data = [q, k, v].map((x) => x.dataSync() as Float32Array) as [Float32Array, Float32Array, Float32Array];
    let mask: BlockMask | undefined;
    const out = hipAttention(q, k, v, { ...attributes, onMask: (m) => (mask = m) });
    const expected = searchBlockMask(data[0], data[1], shape, { ...voting, ...options });
    expect(mask!.starts).toEqual(expected.starts);
    expect(mask!.starts).not.toEqual(searchBlockMask(data[0], data[1], shape, voting).starts);
    const tolerance = { rtol: 1e-4, atol: 1e-5 };
    expect(out.dataSync() as Float32Array).toBeAllclose(
      blockSparseAttention(...data, shape, expected, options),
      tolerance,
    );
    const gradients = tf.grads((...[a, b, c]: tf.Tensor[]) =>
      tf.sum(hipAttention(a as tf.Tensor4D, b as tf.Tensor4D, c as tf.Tensor4D, attributes)),
    )([q, k, v]);
    const ones = new Float32Array(q.size).fill(1);
    const reference = blockSparseAttentionGradient(...data, ones, shape, expected, options);
    for (const [i, name] of (['q', 'k', 'v'] as const).entries())
      expect((await gradients[i]!.data()) as Float32Array).toBeAllclose(reference[name], tolerance);
    tf.dispose([q, k, v, out, ...gradients]);
  });

  it('attention equals the reference inside tf.tidy, and leaves nothing behind', async () => {
    const before = tf.memory().numTensors;
    const { q, k, v } = inputs();
    const [flash, hip, mask] = tf.tidy(() => {
      let found: BlockMask | undefined;
      const h = hipAttention(q, k, v, { config, onMask: (m) => (found = m) });
      return [flashAttention(q, k, v, { causal: false }), h, found!] as never;
    }) as unknown as [tf.Tensor, tf.Tensor, BlockMask];
    const [qs, ks, vs] = (await Promise.all([q.data(), k.data(), v.data()])) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expect((await flash.data()) as Float32Array).toBeAllclose(denseAttention(qs, ks, vs, shape, { causal: false }), {
      rtol: 2e-5,
      atol: 2e-6,
    });
    expect((await hip.data()) as Float32Array).toBeAllclose(blockSparseAttention(qs, ks, vs, shape, mask), {
      rtol: 2e-5,
      atol: 2e-6,
    });
    tf.dispose([q, k, v, flash, hip]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('gradients equal finite differences in float64 with the mask held fixed', async () => {
    const { q, k, v } = inputs();
    const weight = tf.randomUniform([1, 120, 4, 8], -1, 1, 'float32', 4);
    let mask: BlockMask | undefined;
    const gradients = tf.grads((...[a, b, c]: tf.Tensor[]) =>
      tf.sum(
        tf.mul(
          hipAttention(a as tf.Tensor4D, b as tf.Tensor4D, c as tf.Tensor4D, { config, onMask: (m) => (mask = m) }),
          weight,
        ),
      ),
    )([q, k, v]);
    const arrays = (await Promise.all([q, k, v].map((t) => t.data()))).map((values) =>
      Float64Array.from(values as Float32Array),
    );
    const w = (await weight.data()) as Float32Array;
    const loss = (): number =>
      blockSparseAttention(arrays[0]!, arrays[1]!, arrays[2]!, shape, mask!).reduce(
        (sum, value, i) => sum + value * w[i]!,
        0,
      );
    for (const [which, gradient] of gradients.entries()) {
      const values = (await gradient.data()) as Float32Array;
      for (const at of [0, 7, Math.floor(values.length / 2), values.length - 3]) {
        const array = arrays[which]!;
        const old = array[at]!;
        array[at] = old + 1e-5;
        const up = loss();
        array[at] = old - 1e-5;
        const down = loss();
        array[at] = old;
        expect(values[at]).toBeCloseTo((up - down) / 2e-5, 4);
      }
    }
  });
});

describe.each(['cpu', 'wasm'])('gradients on the %s backend', (backend) => {
  it('of flash and of block-sparse attention equal float64', async () => {
    await tf.setBackend(backend);
    const runtime = await registerCpuKernels({ threads: 2 });
    const small = { batch: 2, queries: 40, keys: 50, heads: 4, kvHeads: 2, headDim: 6 };
    const tensor = (rows: number, heads: number, seed: number): tf.Tensor4D =>
      tf.randomUniform<tf.Rank.R4>([2, rows, heads, 6], -1, 1, 'float32', seed);
    const inputs = [tensor(40, 4, 1), tensor(50, 2, 2), tensor(50, 2, 3)] as const;
    const weight = tensor(40, 4, 4);
    const [q, k, v, w] = (await Promise.all([...inputs, weight].map((t) => t.data()))) as Float32Array[];
    const mask = runtime.maskSearch(q!, k!, small, { ...config, k: 16, stages: undefined });
    const cases = [
      [mask, (...[a, b, c]: tf.Tensor4D[]) => blockSparse(a!, b!, c!, mask, { softcap: 2 })],
      [
        denseMask(small, false),
        (...[a, b, c]: tf.Tensor4D[]) => flashAttention(a!, b!, c!, { causal: false, softcap: 2 }),
      ],
    ] as const;
    for (const [used, attention] of cases) {
      const gradients = tf.grads((...t: tf.Tensor[]) => tf.sum(tf.mul(attention(...(t as tf.Tensor4D[])), weight)))([
        ...inputs,
      ]);
      const expected = blockSparseAttentionGradient(q!, k!, v!, w!, small, used, { softcap: 2 });
      for (const [i, name] of (['q', 'k', 'v'] as const).entries()) {
        expect((await gradients[i]!.data()) as Float32Array).toBeAllclose(expected[name], { rtol: 1e-4, atol: 1e-5 });
      }
    }
    runtime.close();
  });
});

describe('what the kernels refuse', () => {
  it('leaves no tensor behind', async () => {
    await tf.setBackend('wasm');
    const runtime = await registerCpuKernels({ threads: 1 });
    const q = tf.zeros<tf.Rank.R4>([1, 8, 2, 4]);
    const before = tf.memory().numTensors;
    const buffers = tf.memory().numDataBuffers;
    expect(() => flashAttention(q, q, tf.zeros<tf.Rank.R4>([1, 8, 1, 4]))).toThrow(/same shape/);
    expect(() => hipAttention(q, q, q, { config: { window: -1 } })).toThrow(/window is -1/);
    expect(() => flashAttention(q, q, tf.cast(q, 'int32'))).toThrow(/v is int32: cast/);
    runtime.close();
    expect(() => flashAttention(q, q, q)).toThrow(/closed/);
    expect(tf.memory().numTensors - before).toBeLessThanOrEqual(2);
    expect(tf.memory().numDataBuffers - buffers).toBeLessThanOrEqual(2);
  });
});

describe('threaded matrix products on wasm', () => {
  it('equal the original kernel, and fall back where they do not apply', async () => {
    await tf.setBackend('wasm');
    const cases = (): tf.Tensor[] => [
      tf.matMul(tf.randomNormal([130, 200], 0, 1, 'float32', 1), tf.randomNormal([200, 90], 0, 1, 'float32', 2)),
      tf.matMul(
        tf.randomNormal([200, 130], 0, 1, 'float32', 1),
        tf.randomNormal([90, 200], 0, 1, 'float32', 2),
        true,
        true,
      ),
      tf.matMul(
        tf.randomNormal<tf.Rank.R3>([3, 64, 200], 0, 1, 'float32', 1),
        tf.randomNormal<tf.Rank.R3>([3, 200, 70], 0, 1, 'float32', 2),
      ),
      tf.matMul(
        tf.randomNormal<tf.Rank.R3>([4, 64, 200], 0, 1, 'float32', 1),
        tf.randomNormal<tf.Rank.R3>([1, 200, 70], 0, 1, 'float32', 2),
      ),
      tf.fused.matMul({
        a: tf.randomNormal([130, 200], 0, 1, 'float32', 1),
        b: tf.randomNormal([200, 90], 0, 1, 'float32', 2),
        bias: tf.randomNormal([90], 0, 1, 'float32', 3),
      }),
      tf.fused.matMul({
        a: tf.randomNormal([130, 200], 0, 1, 'float32', 1),
        b: tf.randomNormal([200, 90], 0, 1, 'float32', 2),
        activation: 'relu',
      }),
      tf.matMul(tf.randomNormal([2, 200], 0, 1, 'float32', 1), tf.randomNormal([200, 3], 0, 1, 'float32', 2)),
    ];
    const expected = await Promise.all(cases().map((t) => t.data()));
    const runtime = await registerCpuKernels({ threads: 2, matmul: true });
    const actual = await Promise.all(cases().map((t) => t.data()));
    // What @instatune/supernet asks.
    expect(tf.getKernel('BatchMatMul', 'wasm')!.kernelFunc).toHaveProperty('batched', true);
    runtime.close();
    const after = await Promise.all(cases().map((t) => t.data()));
    expect(after).toEqual(expected);
    actual.forEach((values, i) =>
      expect(values as Float32Array).toBeAllclose(expected[i] as Float32Array, { rtol: 1e-4, atol: 1e-4 }),
    );
  });
});
