// Exact attention of the newest token alone: any heads, any cache, softcap; and what is not finite stays with its heads.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { denseAttention } from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';
import { tensors, TOLERANCE } from './support.ts';

describe.each(['plain', 'relaxed'] as const)('dense attention of one row, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  const alone = await createCpuRuntime({ simd, threads: 1 });
  afterAll(() => {
    cpu.close();
    alone.close();
  });

  it('equals the reference and does not depend on the threads', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2),
        fc.constantFrom(1, 2, 3),
        fc.constantFrom(1, 2, 3, 4, 5, 9),
        fc.constantFrom(4, 7, 8, 20),
        fc.integer({ min: 1, max: 600 }),
        fc.constantFrom('f32', 'f16'),
        fc.constantFrom(undefined, 3),
        fc.nat(1000),
        (batch, kvHeads, group, headDim, keys, type, softcap, seed) => {
          const shape = { batch, queries: 1, keys, heads: kvHeads * group, kvHeads, headDim };
          const { q, k, v } = tensors(shape, seed);
          const large = q.map((x) => 8 * x);
          const [first, second] = [cpu, alone].map((runtime) => {
            using cache = runtime.createCache({ ...shape, type, softcap });
            cache.append(k, v);
            return cache.attendDense(large);
          });
          const held = (x: Float32Array): Float32Array => (type === 'f16' ? x.map(Math.f16round) : x);
          const expected = denseAttention(large, held(k), held(v), shape, softcap === undefined ? {} : { softcap });
          expect(first).toBeAllclose(expected, TOLERANCE);
          expect(second).toEqual(first);
        },
      ),
      { numRuns: 40 },
    );
  });

  it.each(['f32', 'f16'] as const)('what is not finite, or grows beyond float32, stays with its heads: %s', (type) => {
    const shape = { batch: 1, queries: 1, keys: 300, heads: 6, kvHeads: 2, headDim: 8 };
    const clean = tensors(shape, 5);
    const attend = ({ q, k, v }: typeof clean): Float32Array => {
      using cache = cpu.createCache({ ...shape, type });
      cache.append(k, v);
      return cache.attendDense(q);
    };
    const expected = attend(clean);
    const spoil = (name: keyof typeof clean, at: number, value: number): Float32Array => {
      const spoiled = clean[name].slice();
      spoiled[at] = value;
      return attend({ ...clean, [name]: spoiled });
    };
    for (const bad of [NaN, Infinity]) {
      // Query head 1: the others of its key head are as they were.
      const byQuery = spoil('q', 8, bad);
      expect([...byQuery.subarray(0, 8), ...byQuery.subarray(16)]).toEqual([
        ...expected.subarray(0, 8),
        ...expected.subarray(16),
      ]);
      expect(byQuery.subarray(8, 16).every(Number.isNaN)).toBe(true);
      // A key and a value of the second key head, token 200.
      for (const name of ['k', 'v'] as const) {
        const byKey = spoil(name, 200 * 16 + 8, bad);
        expect(byKey.subarray(0, 24)).toEqual(expected.subarray(0, 24));
        expect(Number.isFinite(byKey[24])).toBe(false);
      }
    }
    const huge = attend({ ...clean, v: clean.v.map((x) => x * (type === 'f32' ? 3e38 : 6e4)) });
    expect(huge.every(Number.isFinite)).toBe(true);
  });
});
