import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import '@hip/testing';
import {
  attendedKeys,
  blockSparseAttention,
  denseAttention,
  massRecall,
  PAPER_CONFIG,
  searchBlockMask,
  type HipConfig,
} from '../src/index.ts';
import { mulberry32 } from '../src/search/random.ts';

function randomTensor(length: number, seed: number): Float64Array {
  const random = mulberry32(seed);
  return Float64Array.from({ length }, () => random() * 2 - 1);
}

const cases = fc.record({
  keys: fc.integer({ min: 1, max: 150 }),
  share: fc.double({ min: 0.05, max: 1, noNaN: true }),
  kvHeads: fc.constantFrom(1, 2),
  group: fc.constantFrom(1, 2),
  sink: fc.integer({ min: 0, max: 5 }),
  blockQ: fc.constantFrom(1, 4, 16),
  causal: fc.boolean(),
  seed: fc.integer({ min: 0, max: 1000 }),
});

describe('searchBlockMask', () => {
  const tree: Partial<HipConfig> = { ...PAPER_CONFIG, k: 16, blockK: 2, window: 8, stages: undefined };
  const staged: Partial<HipConfig> = {
    k: 16,
    blockK: 4,
    window: 8,
    stages: [
      { chunk: 8, keep: 32, strideQ: 2, rows: 'mean', score: 'bound' },
      { chunk: 4, keep: 16, strideQ: 2, rows: 'max', score: 'exact' },
    ],
  };
  for (const [name, base] of Object.entries({ tree, staged })) {
    it(`${name}: masks are sorted, unique and in range; keys count once, none is from the future`, () => {
      fc.assert(
        fc.property(cases, ({ keys, share, kvHeads, group, sink, blockQ, causal, seed }) => {
          const shape = {
            batch: 1,
            queries: Math.max(1, Math.floor(keys * share)),
            keys,
            heads: kvHeads * group,
            kvHeads,
            headDim: 4,
          };
          const q = randomTensor(shape.queries * shape.heads * 4, seed);
          const k = randomTensor(keys * kvHeads * 4, seed + 1);
          const mask = searchBlockMask(q, k, shape, { ...base, sink, blockQ, causal });
          for (let cell = 0; cell < mask.counts.length; cell++) {
            const starts = [...mask.starts.subarray(cell * mask.capacity, cell * mask.capacity + mask.counts[cell]!)];
            expect(starts).toEqual([...new Set(starts)].sort((a, b) => a - b));
            for (const start of starts)
              expect(start >= sink && start < keys && (start - sink) % mask.blockK === 0).toBe(true);
          }
          for (let row = 0; row < shape.queries; row++) {
            const attended = [...attendedKeys(mask, shape, 0, 0, row)];
            expect(new Set(attended).size).toBe(attended.length);
            for (const key of attended)
              expect(key >= 0 && key < keys && (!causal || key <= row + keys - shape.queries)).toBe(true);
          }
        }),
        { numRuns: 60 },
      );
    });
    it(`${name}: a budget of all keys is dense attention`, () => {
      fc.assert(
        fc.property(cases, ({ keys, share, kvHeads, group, sink, blockQ, causal, seed }) => {
          const shape = {
            batch: 1,
            queries: Math.max(1, Math.floor(keys * share)),
            keys,
            heads: kvHeads * group,
            kvHeads,
            headDim: 4,
          };
          const q = randomTensor(shape.queries * shape.heads * 4, seed);
          const k = randomTensor(keys * kvHeads * 4, seed + 1);
          const v = randomTensor(keys * kvHeads * 4, seed + 2);
          const all =
            name === 'tree'
              ? { k: 160 }
              : { k: 160, stages: [{ chunk: 4, keep: 160, strideQ: 1, rows: 'max', score: 'exact' } as const] };
          const mask = searchBlockMask(q, k, shape, { ...base, sink, blockQ, causal, ...all });
          expect(blockSparseAttention(q, k, v, shape, mask)).toBeAllclose(denseAttention(q, k, v, shape, { causal }), {
            rtol: 1e-12,
            atol: 1e-13,
          });
          expect(massRecall(q, k, shape, mask)).toBeCloseTo(1, 12);
        }),
        { numRuns: 40 },
      );
    });
  }
});
