import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCpuRuntime, type CpuRuntime } from '@hip/kernels-cpu';
import { DenseAttention } from '../../src/runtime/cpu-dense.ts';
import { isNative } from '../../src/runtime/ort.ts';

const options = { intraOpNumThreads: 1 };
let cpu: CpuRuntime;
beforeAll(async () => {
  cpu = await createCpuRuntime({ threads: 1 });
});
afterAll(() => cpu.close());

const numbers = (length: number, phase: number) =>
  Float32Array.from({ length }, (_, i) => 1.5 * Math.sin(1.37 * i + phase));
const largest = (array: Float32Array) => array.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** The kernels' own dense attention of the last rows. */
function expected(
  sizes: { heads: number; kvHeads: number; headDim: number },
  form: { scale: number | undefined; softcap: number },
  { q, k, v }: { q: Float32Array; k: Float32Array; v: Float32Array },
): Float32Array {
  const { scale, softcap } = form;
  using cache = cpu.createCache({
    ...sizes,
    type: 'f32',
    config: {},
    ...(scale !== undefined && { scale }),
    ...(softcap > 0 && { softcap }),
  });
  cache.append(k, v);
  return cache.attendDense(q);
}

describe('DenseAttention', () => {
  it.each([
    { heads: 6, kvHeads: 2, headDim: 16, scale: undefined, softcap: 0, before: 0 },
    { heads: 6, kvHeads: 2, headDim: 16, scale: undefined, softcap: 0, before: 45 },
    { heads: 4, kvHeads: 4, headDim: 24, scale: 0.7, softcap: 0, before: 300 },
    { heads: 8, kvHeads: 1, headDim: 64, scale: 0.3, softcap: 2, before: 7 },
  ])('gives what the kernels give: %o', async ({ before, scale, softcap, ...sizes }) => {
    const { heads, kvHeads, headDim } = sizes;
    const rows = 130;
    const size = kvHeads * headDim;
    const all = { k: numbers((before + rows) * size, 1), v: numbers((before + rows) * size, 2) };
    const q = numbers(rows * heads * headDim, 0);
    using dense = new DenseAttention(ort, options);
    const cut = before * size;
    const found = await dense.attend(
      sizes,
      { scale, softcap },
      {
        q,
        k: all.k.subarray(cut),
        v: all.v.subarray(cut),
        past: () => ({ k: all.k.subarray(0, cut), v: all.v.subarray(0, cut) }),
      },
    );
    const own = expected(sizes, { scale, softcap }, { q, ...all });
    expect(largest(found!.map((value, i) => value - own[i]!))).toBeLessThan(1e-5 * largest(own));
  });

  it('leaves few rows, and runtimes without the node, to the kernels', async () => {
    const sizes = { heads: 1, kvHeads: 1, headDim: 8 };
    const form = { scale: undefined, softcap: 0 };
    const rows = (count: number) => ({
      q: numbers(8 * count, 0),
      k: numbers(8 * count, 1),
      v: numbers(8 * count, 2),
      past: () => ({ k: new Float32Array(), v: new Float32Array() }),
    });
    using dense = new DenseAttention(ort, options);
    expect(await dense.attend(sizes, form, rows(20))).toBeUndefined();
    const create = () => Promise.reject(new Error('no such node'));
    using none = new DenseAttention({ Tensor: ort.Tensor, InferenceSession: { create } }, options);
    expect(await none.attend(sizes, form, rows(200))).toBeUndefined();
  });
});

it('onnxruntime-node says that it is native', () => {
  expect(isNative(ort)).toBe(true);
  for (const versions of [{}, { web: '1' }, { node: '1', web: '1' }])
    expect(isNative({ ...ort, env: { versions } })).toBe(false);
});
