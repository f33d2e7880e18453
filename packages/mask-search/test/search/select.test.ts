// Selection by threshold against a sort, and the sorted top-k against its definition.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { selectLargest, topK } from '../../src/index.ts';
import { kthLargest } from '../../src/search/select.ts';

/** Few distinct values, so that ties are common; −Infinity among them. */
const scores = fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }), fc.constant(-Infinity)), {
  maxLength: 200,
});

describe('selectLargest', () => {
  it('chooses what a sort by score, then index, chooses', () => {
    fc.assert(
      fc.property(scores, fc.integer({ min: 1, max: 220 }), (values, count) => {
        const sorted = values
          .map((_, i) => i)
          .sort((a, b) => (values[a] === values[b] ? a - b : values[b]! - values[a]!));
        expect(selectLargest(values, count)).toEqual(sorted.slice(0, count).sort((a, b) => a - b));
      }),
      { numRuns: 500 },
    );
  });

  it('never chooses the dead', () => {
    fc.assert(
      fc.property(scores, fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 5 }), (values, count, stride) => {
        const alive = values.map((_, i) => i % stride === 0);
        const living = values.map((_, i) => i).filter((i) => alive[i]);
        const chosen = selectLargest(
          living.map((i) => values[i]!),
          count,
        ).map((i) => living[i]!);
        expect(selectLargest(values, count, alive)).toEqual(chosen);
      }),
    );
  });

  it('finds the k-th largest value', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1 }), fc.nat(), (values, at) => {
        const k = (at % values.length) + 1;
        expect(kthLargest([...values], k)).toBe([...values].sort((a, b) => b - a)[k - 1]);
      }),
    );
  });
});

describe('topK', () => {
  it('is selectLargest in order of score', () => {
    fc.assert(
      fc.property(scores, fc.nat(), (values, at) => {
        const k = values.length === 0 ? 0 : at % values.length;
        const best = topK(values, k);
        expect(best.values).toEqual(best.indices.map((i) => values[i]));
        expect([...best.indices].sort((a, b) => a - b)).toEqual(k === 0 ? [] : selectLargest(values, k));
        for (let i = 1; i < k; i++) expect(best.values[i - 1]! >= best.values[i]!).toBe(true);
      }),
    );
  });

  it('refuses NaN and a k that is too large', () => {
    expect(() => topK([1, NaN], 1)).toThrow(expect.objectContaining({ code: 'non-finite' }));
    expect(() => topK([1, 2], 3)).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
  });
});
