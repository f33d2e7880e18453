import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import '@hip/testing';
import {
  blockSparseAttention,
  denseAttention,
  HipError,
  PAPER_CONFIG,
  searchBlockMask,
  type AttentionShape,
  type HipConfig,
} from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';

/** Against float64: see CpuRuntime. */
const TOLERANCE = { rtol: 2e-5, atol: 2e-6 };

function randomTensor(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  });
}

function tensors(shape: AttentionShape, seed: number): { q: Float32Array; k: Float32Array; v: Float32Array } {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  return {
    q: randomTensor(batch * queries * heads * headDim, seed),
    k: randomTensor(batch * keys * kvHeads * headDim, seed + 1),
    v: randomTensor(batch * keys * kvHeads * headDim, seed + 2),
  };
}

const shapes = fc
  .record({
    batch: fc.constantFrom(1, 2),
    keys: fc.integer({ min: 1, max: 300 }),
    share: fc.double({ min: 0.02, max: 1, noNaN: true }),
    kvHeads: fc.constantFrom(1, 2),
    group: fc.constantFrom(1, 2, 3),
    headDim: fc.constantFrom(4, 6, 8, 20, 32),
    causal: fc.boolean(),
    seed: fc.integer({ min: 0, max: 1 << 20 }),
  })
  .map(({ share, group, causal, seed, ...rest }) => ({
    shape: {
      ...rest,
      heads: rest.kvHeads * group,
      queries: Math.max(1, Math.floor(rest.keys * share)),
    } as AttentionShape,
    causal,
    seed,
  }));

const configs: Record<string, Partial<HipConfig>> = {
  'paper tree': { ...PAPER_CONFIG, k: 32, blockK: 2, window: 20, sink: 3 },
  'tree, strided, aligned': {
    ...PAPER_CONFIG,
    k: 32,
    blockK: 8,
    strideK: 4,
    strideQ: 4,
    window: 16,
    sink: 8,
    blockQ: 32,
    representative: 'last',
  },
  'bound and exact stages': {
    k: 32,
    blockK: 8,
    window: 16,
    sink: 8,
    stages: [
      { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'bound' },
      { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  },
  'binary stages, ragged': {
    k: 32,
    blockK: 4,
    blockQ: 24,
    window: 16,
    sink: 5,
    stages: [
      { chunk: 16, keep: 96, strideQ: 4, rows: 'max', score: 'binary' },
      { chunk: 4, keep: 32, strideQ: 2, rows: 'mean', score: 'exact' },
    ],
  },
  'one mask for all heads': {
    k: 32,
    blockK: 8,
    window: 16,
    sink: 8,
    shareHeads: true,
    stages: [
      { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'bound' },
      { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  },
};

for (const simd of ['plain', 'relaxed'] as const) {
  describe(`CpuRuntime, ${simd} SIMD`, async () => {
    const cpu = await createCpuRuntime({ simd, threads: 2 });
    afterAll(() => cpu.close());

    it('dense attention equals float64', () => {
      fc.assert(
        fc.property(shapes, fc.constantFrom(undefined, 3), ({ shape, causal, seed }, softcap) => {
          const { q, k, v } = tensors(shape, seed);
          const options = { causal, scale: 0.7, softcap };
          expect(cpu.denseAttention(q, k, v, shape, options)).toBeAllclose(
            denseAttention(q, k, v, shape, options),
            TOLERANCE,
          );
        }),
        { numRuns: 40 },
      );
    });

    for (const [name, config] of Object.entries(configs)) {
      it(`${name}: the mask is the reference's, and so is the attention over it`, () => {
        fc.assert(
          fc.property(shapes, ({ shape, causal, seed }) => {
            const { q, k, v } = tensors(shape, seed);
            const expected = searchBlockMask(q, k, shape, { ...config, causal });
            const { output, mask } = cpu.hipAttention(q, k, v, shape, { ...config, causal });
            // Random continuous scores are further apart than float32 rounding, but for the rare near-tie.
            const different = expected.starts.filter((start, i) => start !== mask.starts[i]).length;
            expect(different / Math.max(1, expected.starts.length)).toBeLessThanOrEqual(0.01);
            expect([...mask.counts]).toEqual([...expected.counts]);
            expect(output).toBeAllclose(blockSparseAttention(q, k, v, shape, mask), TOLERANCE);
            expect(cpu.blockSparseAttention(q, k, v, shape, mask)).toEqual(output);
            expect(cpu.maskSearch(q, k, shape, { ...config, causal }).starts).toEqual(mask.starts);
          }),
          { numRuns: 25 },
        );
      });
    }

    it('matrix products equal float64, transposed or not, shared or batched, with bias', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 90 }),
          fc.integer({ min: 1, max: 200 }),
          fc.integer({ min: 1, max: 40 }),
          fc.integer({ min: 1, max: 3 }),
          fc.boolean(),
          fc.boolean(),
          fc.boolean(),
          fc.boolean(),
          (m, n, k, batch, sharedB, transposeA, transposeB, withBias) => {
            const a = randomTensor(batch * m * k, m);
            const b = randomTensor((sharedB ? 1 : batch) * k * n, n);
            const bias = withBias ? randomTensor(n, 5) : undefined;
            const expected = new Float64Array(batch * m * n);
            for (let i = 0; i < batch; i++) {
              for (let r = 0; r < m; r++) {
                for (let c = 0; c < n; c++) {
                  let sum = bias ? bias[c]! : 0;
                  for (let e = 0; e < k; e++) {
                    const left = a[i * m * k + (transposeA ? e * m + r : r * k + e)]!;
                    sum += left * b[(sharedB ? 0 : i * k * n) + (transposeB ? c * k + e : e * n + c)]!;
                  }
                  expected[(i * m + r) * n + c] = sum;
                }
              }
            }
            const actual = cpu.matmul(a, b, { m, n, k, batch, sharedB, transposeA, transposeB, bias });
            expect(actual).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-5 });
          },
        ),
        { numRuns: 60 },
      );
    });
  });
}

describe('CpuRuntime', () => {
  it('gives the same bits with one thread and with three', async () => {
    using one = await createCpuRuntime({ threads: 1 });
    using three = await createCpuRuntime({ threads: 3 });
    const shape = { batch: 1, queries: 500, keys: 777, heads: 4, kvHeads: 2, headDim: 16 };
    const { q, k, v } = tensors(shape, 1);
    const config = { k: 128, window: 64 };
    expect(three.denseAttention(q, k, v, shape)).toEqual(one.denseAttention(q, k, v, shape));
    expect(three.hipAttention(q, k, v, shape, config)).toEqual(one.hipAttention(q, k, v, shape, config));
  });

  it('plans at least what it uses', async () => {
    using cpu = await createCpuRuntime({ threads: 2 });
    const shape = { batch: 1, queries: 300, keys: 900, heads: 4, kvHeads: 2, headDim: 16 };
    const { q, k, v } = tensors(shape, 1);
    cpu.hipAttention(q, k, v, shape, { k: 64, window: 64 });
    expect(cpu.peakBytes).toBeGreaterThan(0);
    expect(cpu.plan(shape, { k: 64, window: 64 }).total).toBeGreaterThanOrEqual(cpu.peakBytes);
  });

  it('rejects bad input with typed errors', async () => {
    using cpu = await createCpuRuntime({ threads: 1 });
    const shape = { batch: 1, queries: 8, keys: 8, heads: 3, kvHeads: 2, headDim: 4 };
    const { q, k, v } = tensors({ ...shape, kvHeads: 1 }, 1);
    expect(() => cpu.denseAttention(q, k, v, shape)).toThrow(HipError);
    expect(() => cpu.denseAttention(q, k, v, { ...shape, kvHeads: 1, keys: 9 })).toThrow(/k holds 32 numbers/);
    await expect(createCpuRuntime({ threads: 0 })).rejects.toThrow(/threads is 0/);
    const huge = { batch: 1, queries: 1 << 24, keys: 1 << 24, heads: 64, kvHeads: 64, headDim: 128 };
    expect(cpu.plan(huge).total).toBeGreaterThan(2 ** 32);
  });
});
