// Pseudo-keys: attention and its gradients over masks with a remainder, from tensors and from caches, against the float64 reference.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  blockSparseAttention,
  blockSparseAttentionGradient,
  denseAttention,
  emptyMask,
  DEFAULT_CONFIG,
  type HipConfig,
} from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';
import { randomTensor, rowsOf, shapes, tensors, TOLERANCE } from './support.ts';

const remainders = fc.record({
  block: fc.constantFrom(1, 3, 8, 16),
  most: fc.constantFrom(1, 3, 100),
  tail: fc.constantFrom('drop' as const, 'exact' as const),
});

/** Masks of a search, some of whose blocks straddle the remainder's. */
const masked = fc.record({
  blockQ: fc.constantFrom(1, 24, 80),
  blockK: fc.constantFrom(1, 3, 8),
  sink: fc.constantFrom(0, 5),
  window: fc.constantFrom(1, 20),
  shareHeads: fc.boolean(),
  remainder: remainders,
});

function configOf(given: { blockK: number } & Partial<HipConfig>, causal: boolean): Partial<HipConfig> {
  return { ...given, k: 24, stages: undefined, causal };
}

describe.each(['plain', 'relaxed'] as const)('remainders, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  afterAll(() => cpu.close());

  it('attention is the reference’s, and so are its gradients', () => {
    fc.assert(
      fc.property(shapes, masked, fc.constantFrom(undefined, 1.5), ({ shape, causal, seed }, given, softcap) => {
        const { q, k, v } = tensors(shape, seed);
        const options = { scale: 0.8, softcap };
        const config = configOf(given, causal);
        const { output, mask } = cpu.hipAttention(q, k, v, shape, config, options);
        expect(mask.remainder).toEqual(given.remainder);
        expect(output).toBeAllclose(blockSparseAttention(q, k, v, shape, mask, options), TOLERANCE);
        expect(cpu.blockSparseAttention(q, k, v, shape, mask, options)).toEqual(output);
        const gradient = randomTensor(q.length, seed + 3);
        const expected = blockSparseAttentionGradient(q, k, v, gradient, shape, mask, options);
        const actual = cpu.blockSparseAttentionGradient(q, k, v, gradient, shape, mask, options);
        for (const name of ['q', 'k', 'v'] as const)
          expect(actual[name]).toBeAllclose(expected[name], { rtol: 1e-4, atol: 1e-5 });
        expect(cpu.usedBytes).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('an empty mask, blocks of one key and an exact tail are dense attention', () => {
    const shape = { batch: 2, queries: 50, keys: 150, heads: 2, kvHeads: 1, headDim: 8 };
    const { q, k, v } = tensors(shape, 4);
    const remainder = { block: 1, most: 1000, tail: 'exact' as const };
    const mask = emptyMask(
      shape,
      { blockQ: 16, blockK: 4, sink: 3, window: 10, causal: true, shareHeads: false, remainder },
      2,
    );
    expect(cpu.blockSparseAttention(q, k, v, shape, mask)).toBeAllclose(denseAttention(q, k, v, shape), TOLERANCE);
  });

  it('the shipped remainder stands for a long text', () => {
    const shape = { batch: 1, queries: 70, keys: 6000, heads: 2, kvHeads: 1, headDim: 16 };
    const { q, k, v } = tensors(shape, 6);
    const { output, mask } = cpu.hipAttention(q, k, v, shape, DEFAULT_CONFIG);
    expect(output).toBeAllclose(blockSparseAttention(q, k, v, shape, mask), TOLERANCE);
  });

  it('means of large values are finite', () => {
    const shape = { batch: 1, queries: 40, keys: 200, heads: 2, kvHeads: 1, headDim: 8 };
    const { q, k, v } = tensors(shape, 8);
    const signs = v.map((x) => (x < -0.9 ? -1 : 1));
    const remainder = { block: 16, most: 4, tail: 'drop' as const };
    const config = configOf({ blockQ: 16, blockK: 8, sink: 4, window: 20, remainder }, true);
    const { output, mask } = cpu.hipAttention(
      q,
      k,
      signs.map((x) => x * 3e38),
      shape,
      config,
    );
    const expected = blockSparseAttention(q, k, signs, shape, mask);
    expect(Float64Array.from(output, (x) => x / 3e38)).toBeAllclose(expected, TOLERANCE);
  });

  it.each(['f32', 'f16'] as const)('a cache of %s keeps its means while it grows and is cut back', (type) => {
    const total = 700;
    const all = { batch: 2, queries: total, keys: total, heads: 2, kvHeads: 1, headDim: 8 };
    const { q, ...kv } = tensors(all, 31);
    const rounded = (x: Float32Array): Float32Array => (type === 'f16' ? x.map((value) => Math.f16round(value)) : x);
    const [k, v] = [rounded(kv.k), rounded(kv.v)];
    const [rows, keys] = [
      { batch: 2, width: 16 },
      { batch: 2, width: 8 },
    ];
    const steps = fc.array(fc.record({ add: fc.integer({ min: 1, max: 120 }), cut: fc.nat(150) }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(steps, remainders, fc.boolean(), (list, remainder, bounded) => {
        const config = configOf({ blockQ: 16, blockK: 8, sink: 4, window: 20, remainder }, true);
        const maxTokens = bounded ? total + 20 : undefined;
        using cache = cpu.createCache({ batch: 2, heads: 2, kvHeads: 1, headDim: 8, type, config, maxTokens });
        for (const { add, cut } of list) {
          const from = cache.length;
          const to = from + add;
          if (to > total) break;
          cache.append(rowsOf(kv.k, keys, from, to), rowsOf(kv.v, keys, from, to));
          const { output, mask } = cache.attend(rowsOf(q, rows, from, to));
          const shape = { ...all, queries: to - from, keys: to };
          const expected = blockSparseAttention(
            rowsOf(q, rows, from, to),
            rowsOf(k, keys, 0, to),
            rowsOf(v, keys, 0, to),
            shape,
            mask,
          );
          expect(output).toBeAllclose(expected, TOLERANCE);
          if (cut > 75) cache.truncate(Math.max(0, to - cut));
          if (cut > 140) {
            // Other tokens in the place of those that were cut.
            const other = randomTensor(2 * 8 * 30, cut);
            cache.append(other, other);
            cache.attend(rowsOf(q, rows, 0, 30));
            cache.truncate(cache.length - 30);
          }
        }
      }),
      { numRuns: 12 },
    );
  });
});
