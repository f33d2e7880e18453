// Mass recall, top-k recall and output error against their definitions.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attendedKeys,
  blockSparseAttention,
  denseAttention,
  denseMask,
  emptyMask,
  exactTopKMask,
  massRecall,
  outputError,
  searchBlockMask,
  setBlocks,
  topK,
  topKRecall,
  worstRowError,
} from '../../src/index.ts';
import { searches, seeds, shapes, tensorsOf } from '../support.ts';

describe('massRecall', () => {
  it('is the softmax mass of the mask’s distinct keys', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, fc.constantFrom(undefined, 1.5), (shape, options, seed, softcap) => {
        const { q, k } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, options);
        // With one-hot values the output of dense attention is the probability of each key: read it off in a head of its own.
        const { keys, queries, heads, kvHeads, headDim: d, batch } = shape;
        let [total, count] = [0, 0];
        for (let b = 0; b < batch; b++) {
          for (let h = 0; h < heads; h++) {
            for (let row = 0; row < queries; row++) {
              const visible = options.causal ? row + keys - queries + 1 : keys;
              const logits = Array.from({ length: visible }, (_, key) => {
                let s = 0;
                for (let i = 0; i < d; i++)
                  s +=
                    q[((b * queries + row) * heads + h) * d + i]! *
                    k[((b * keys + key) * kvHeads + Math.floor((h * kvHeads) / heads)) * d + i]!;
                return Math.exp(softcap ? softcap * Math.tanh((s * 0.9) / softcap) : s * 0.9);
              });
              const kept = new Set(attendedKeys(mask, shape, b, h, row));
              total +=
                logits.reduce((sum, w, key) => sum + (kept.has(key) ? w : 0), 0) /
                logits.reduce((sum, w) => sum + w, 0);
              count++;
            }
          }
        }
        expect(massRecall(q, k, shape, mask, { scale: 0.9, softcap })).toBeCloseTo(total / count, 11);
      }),
      { numRuns: 30 },
    );
  });

  it('does not overflow, however large the logits', () => {
    const shape = { batch: 1, queries: 2, keys: 3, heads: 1, kvHeads: 1, headDim: 1 };
    const [q, k] = [Float64Array.of(1, 1), Float64Array.of(3000, 2000, 2000)];
    const mask = emptyMask(shape, { blockQ: 1, blockK: 1, sink: 0, window: 1, causal: true, shareHeads: false }, 1);
    setBlocks(mask, 0, 0, 1, [0]);
    // Row 0 at position 1 keeps key 1 alone, row 1 keeps the best key.
    expect(massRecall(q, k, shape, mask, { scale: 1 })).toBe(0.5);
  });

  it('counts no key twice: a mask that holds one twice is refused', () => {
    const shape = { batch: 1, queries: 4, keys: 32, heads: 1, kvHeads: 1, headDim: 1 };
    const { q, k } = tensorsOf(shape, 1);
    const mask = emptyMask(shape, { blockQ: 4, blockK: 4, sink: 4, window: 4, causal: true, shareHeads: false }, 2);
    // Blocks that reach into sinks and window add nothing there.
    setBlocks(mask, 0, 0, 0, [0, 28]);
    const bare = emptyMask(shape, { blockQ: 4, blockK: 4, sink: 4, window: 4, causal: true, shareHeads: false }, 2);
    const rows = [3];
    expect(massRecall(q, k, shape, mask, { rows })).toBe(massRecall(q, k, shape, bare, { rows }));
    setBlocks(mask, 0, 0, 0, [8, 8]);
    expect(() => massRecall(q, k, shape, mask)).toThrow(expect.objectContaining({ code: 'invalid-mask' }));
  });

  it('never exceeds 1, grows with the budget for exact top-k of single keys and rows, and is 1 for everything', () => {
    fc.assert(
      fc.property(shapes, seeds, (shape, seed) => {
        const { q, k } = tensorsOf(shape, seed);
        let before = 0;
        for (const budget of [1, 4, 16, 64]) {
          const recall = massRecall(
            q,
            k,
            shape,
            exactTopKMask(q, k, shape, { k: budget, blockQ: 1, blockK: 1, window: 0, sink: 0 }),
          );
          expect(recall).toBeGreaterThanOrEqual(before - 1e-12);
          expect(recall).toBeLessThanOrEqual(1 + 1e-12);
          before = recall;
        }
        expect(massRecall(q, k, shape, denseMask(shape, true))).toBe(1);
      }),
      { numRuns: 20 },
    );
  });
});

describe('topKRecall', () => {
  it('is the share of the k best keys that the mask holds', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, fc.integer({ min: 1, max: 20 }), (given, options, seed, best) => {
        const shape = { ...given, batch: 1, heads: 1, kvHeads: 1 };
        const { q, k } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, { ...options, causal: true });
        const row = shape.queries - 1;
        const d = shape.headDim;
        const scores = Array.from({ length: shape.keys }, (_, key) =>
          q.subarray(row * d).reduce((sum, x, i) => sum + x * k[key * d + i]!, 0),
        );
        const truth = topK(scores, Math.min(best, shape.keys)).indices;
        const held = new Set(attendedKeys(mask, shape, 0, 0, row));
        const expected = truth.filter((key) => held.has(key)).length / truth.length;
        expect(topKRecall(q, k, shape, mask, { k: best, rows: [row] })).toBe(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('is 1 for exact top-k and for dense masks', () => {
    const shape = { batch: 2, queries: 30, keys: 60, heads: 4, kvHeads: 2, headDim: 3 };
    const { q, k } = tensorsOf(shape, 4);
    const exact = exactTopKMask(q, k, shape, { k: 8, blockQ: 1, blockK: 1, window: 0, sink: 0 });
    expect(topKRecall(q, k, shape, exact, { k: 8 })).toBe(1);
    expect(topKRecall(q, k, shape, denseMask(shape, true), { k: 8 })).toBe(1);
  });
});

describe('outputError', () => {
  it('is 0 for equal outputs, and for a sparse output what the norm says', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, (shape, options, seed) => {
        const { q, k, v } = tensorsOf(shape, seed);
        const exact = denseAttention(q, k, v, shape, { causal: options.causal! });
        expect(outputError(exact, exact)).toBe(0);
        const sparse = blockSparseAttention(q, k, v, shape, searchBlockMask(q, k, shape, options));
        const norm = (x: Float64Array): number => Math.hypot(...x);
        const expected = norm(sparse.map((x, i) => x - exact[i]!)) / norm(exact);
        expect(outputError(sparse, exact)).toBeCloseTo(expected, 10);
        expect(worstRowError(sparse, exact, shape.headDim)).toBeGreaterThanOrEqual(outputError(sparse, exact) - 1e-12);
      }),
      { numRuns: 30 },
    );
  });

  it('finds the worst row, and refuses outputs of different calls', () => {
    const exact = Float64Array.of(3, 4, 0, 1, 0, 0);
    const actual = Float64Array.of(3, 4, 0, 1.5, 0, 0);
    expect(worstRowError(actual, exact, 2)).toBe(0.5);
    expect(outputError(Float64Array.of(1), Float64Array.of(0))).toBe(Infinity);
    expect(() => outputError(exact, Float64Array.of(1))).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
  });
});
