// The baselines: exact top-k, random blocks, sink and window; on the mask HiP uses, at the same number of keys.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attendedKeys,
  blockSparseAttention,
  denseAttention,
  exactTopKMask,
  massRecall,
  maskStatistics,
  randomBlockMask,
  searchBlockMask,
  streamingMask,
  topK,
  validateMask,
} from '../../src/index.ts';
import { cellsOf, seeds, shapes, tensorsOf } from '../support.ts';

const grid = fc.record({
  k: fc.integer({ min: 1, max: 40 }),
  blockQ: fc.constantFrom(1, 4, 16),
  blockK: fc.constantFrom(1, 2, 4),
  window: fc.integer({ min: 0, max: 12 }),
  sink: fc.integer({ min: 0, max: 5 }),
  causal: fc.boolean(),
  shareHeads: fc.boolean(),
});

describe('exact top-k', () => {
  it('of single rows and keys is the definition', () => {
    fc.assert(
      fc.property(shapes, seeds, fc.integer({ min: 1, max: 30 }), (given, seed, k) => {
        const shape = { ...given, batch: 1, heads: 1, kvHeads: 1 };
        const d = shape.headDim;
        const tensors = tensorsOf(shape, seed);
        const mask = exactTopKMask(tensors.q, tensors.k, shape, { k, blockQ: 1, blockK: 1, window: 0, sink: 0 });
        cellsOf(mask, 0, 0).forEach((starts, row) => {
          const visible = row + shape.keys - shape.queries + 1;
          const scores = Array.from({ length: visible }, (_, key) => {
            let s = 0;
            for (let i = 0; i < d; i++) s += tensors.q[row * d + i]! * tensors.k[key * d + i]!;
            return s;
          });
          expect(starts).toEqual(topK(scores, Math.min(k, visible)).indices.sort((a, b) => a - b));
        });
      }),
      { numRuns: 40 },
    );
  });

  it('of blocks keeps those with the best score of any row that sees any of their keys, over the heads that share them', () => {
    fc.assert(
      fc.property(shapes, grid, seeds, (shape, options, seed) => {
        const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
        const { q, k } = tensorsOf(shape, seed);
        const { blockQ, blockK, sink, window, causal, shareHeads } = options;
        const mask = exactTopKMask(q, k, shape, options);
        const score = (row: number, head: number, key: number): number => {
          if (causal && key > row + keys - queries) return -Infinity;
          const [x, y] = [
            ((batch - 1) * queries + row) * heads + head,
            ((batch - 1) * keys + key) * kvHeads + Math.floor((head * kvHeads) / heads),
          ];
          return q.subarray(x * d, x * d + d).reduce((sum, value, i) => sum + value * k[y * d + i]!, 0);
        };
        for (let maskHead = 0; maskHead < mask.maskHeads; maskHead++) {
          cellsOf(mask, batch - 1, maskHead).forEach((starts, n) => {
            const rows = Array.from({ length: Math.min(blockQ, queries - n * blockQ) }, (_, i) => n * blockQ + i);
            const visible = causal ? rows.at(-1)! + keys - queries + 1 : keys;
            const blocks = Math.ceil(Math.max(0, visible - window - sink) / blockK);
            const sharing = shareHeads ? Array.from({ length: heads }, (_, head) => head) : [maskHead];
            const scores = Array.from({ length: blocks }, (_, b) => {
              const inside = Array.from({ length: blockK }, (_, i) => sink + b * blockK + i).filter(
                (key) => key < keys,
              );
              return Math.max(
                ...inside.flatMap((key) => rows.flatMap((row) => sharing.map((head) => score(row, head, key)))),
              );
            });
            const best = topK(scores, Math.min(blocks, Math.ceil(options.k / blockK))).indices;
            expect(starts).toEqual(best.map((b) => sink + b * blockK).sort((a, b) => a - b));
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  it('of single rows and keys holds at least the mass of any search at the same budget', () => {
    fc.assert(
      fc.property(shapes, seeds, fc.integer({ min: 1, max: 30 }), (shape, seed, k) => {
        const tensors = tensorsOf(shape, seed);
        const options = { k, blockQ: 1, blockK: 1, window: 4, sink: 2, strideQ: 1, stages: undefined };
        const recall = (mask: Parameters<typeof massRecall>[3]): number =>
          massRecall(tensors.q, tensors.k, shape, mask);
        const exact = recall(exactTopKMask(tensors.q, tensors.k, shape, options));
        expect(exact).toBeGreaterThanOrEqual(recall(searchBlockMask(tensors.q, tensors.k, shape, options)) - 1e-12);
        expect(exact).toBeGreaterThanOrEqual(recall(randomBlockMask(shape, options)) - 1e-12);
      }),
      { numRuns: 30 },
    );
  });
});

describe('random blocks', () => {
  it('are valid, as many as HiP’s, the same for a seed, other for another', () => {
    fc.assert(
      fc.property(shapes, grid, seeds, (shape, options, seed) => {
        const mask = randomBlockMask(shape, { ...options, seed });
        validateMask(mask);
        expect(randomBlockMask(shape, { ...options, seed })).toEqual(mask);
        const { q, k } = tensorsOf(shape, seed);
        expect(mask.counts).toEqual(searchBlockMask(q, k, shape, { ...options, stages: undefined }).counts);
      }),
      { numRuns: 60 },
    );
    const shape = { batch: 1, queries: 64, keys: 1024, heads: 2, kvHeads: 1, headDim: 1 };
    const of = (seed: number): number[][] =>
      [0, 1].flatMap((head) => cellsOf(randomBlockMask(shape, { k: 64, window: 16, seed }), 0, head));
    expect(of(1)).not.toEqual(of(2));
    expect(of(1)[0]).not.toEqual(of(1)[1]);
  });

  it('are drawn evenly', () => {
    const shape = { batch: 1, queries: 1, keys: 40, heads: 1, kvHeads: 1, headDim: 1 };
    const seen = new Float64Array(10);
    for (let seed = 0; seed < 4000; seed++) {
      for (const start of cellsOf(randomBlockMask(shape, { k: 12, blockK: 4, window: 0, sink: 0, seed }), 0, 0)[0]!)
        seen[start / 4]!++;
    }
    // 3 of 10 blocks: 1200 ± 29 each; five deviations.
    for (const count of seen) expect(Math.abs(count - 1200)).toBeLessThan(145);
  });
});

describe('sink and window', () => {
  it('read as many keys a row as HiP with the same options, once there are so many', () => {
    fc.assert(
      fc.property(
        seeds,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 5 }),
        (seed, k, window, sink) => {
          const shape = { batch: 1, queries: 1, keys: 100, heads: 2, kvHeads: 1, headDim: 2 };
          const options = { k, blockK: 1, window, sink, blockQ: 1 };
          const streaming = streamingMask(shape, options);
          const { q, k: keys } = tensorsOf(shape, seed);
          const hip = searchBlockMask(q, keys, shape, { ...options, stages: undefined });
          expect(maskStatistics(streaming).keysPerRow).toEqual(maskStatistics(hip).keysPerRow);
          const expected = [
            ...Array.from({ length: sink }, (_, i) => i),
            ...Array.from({ length: window + k }, (_, i) => 100 - window - k + i),
          ];
          expect([...attendedKeys(streaming, shape, 0, 0, 0)]).toEqual(expected);
        },
      ),
    );
  });

  it('is dense attention while everything fits', () => {
    const shape = { batch: 1, queries: 20, keys: 20, heads: 2, kvHeads: 1, headDim: 3 };
    const { q, k, v } = tensorsOf(shape, 1);
    expect(blockSparseAttention(q, k, v, shape, streamingMask(shape, { k: 10, window: 6, sink: 4 }))).toEqual(
      denseAttention(q, k, v, shape),
    );
  });
});
