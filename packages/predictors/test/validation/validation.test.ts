import '@hip/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crossValidate, kFold, nearestNeighbours, PredictorError, ridge } from '../../src/index.ts';
import { binary, twelve } from '../fixtures/data.ts';

describe('kFold', () => {
  it('tests every row once, in folds of even size', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 60 }),
        fc.integer({ min: 2, max: 60 }),
        fc.integer(),
        (rows, wanted, seed) => {
          const folds = kFold(rows, { folds: Math.min(rows, wanted), seed });
          const tested = folds.flatMap(({ test }) => [...test]).sort((a, b) => a - b);
          expect(tested).toEqual(Array.from({ length: rows }, (_, i) => i));
          const sizes = folds.map(({ test }) => test.length);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
          for (const { train, test } of folds) {
            expect([...train, ...test].sort((a, b) => a - b)).toEqual(tested);
          }
        },
      ),
    );
  });

  it('follows its seed, and refuses senseless folds', () => {
    expect(kFold(30, { seed: 4 })).toEqual(kFold(30, { seed: 4 }));
    expect(kFold(30, { seed: 4 })).not.toEqual(kFold(30, { seed: 5 }));
    for (const folds of [1, 31, 2.5]) expect(() => kFold(30, { folds })).toThrow(PredictorError);
  });
});

describe('crossValidate', () => {
  it('judges each row by a model that has not seen it', () => {
    // The nearest neighbour of a row is itself: seen, the error would be 0.
    const { rows, targets } = twelve;
    const { predicted } = crossValidate(nearestNeighbours({ neighbours: 1 }), rows, targets, { folds: 12 });
    predicted.forEach((value, i) => {
      const others = nearestNeighbours({ neighbours: 1 }).fit(rows.toSpliced(i, 1), targets.toSpliced(i, 1));
      expect(value).toBe(others.predict([rows[i]!])[0]);
    });
  });

  it('leaving one out with ridge is ridge’s closed form', () => {
    const regressor = ridge({ penalty: 0.5, standardize: false });
    const result = crossValidate(regressor, twelve.rows, twelve.targets, { folds: 12 });
    expect(result.rmse).toBeCloseTo(regressor.fit(twelve.rows, twelve.targets).looRmse, 10);
  });

  it('reports all metrics and progress, and stops at a signal', () => {
    const { rows, targets } = binary(60, 6, 1);
    const done: number[] = [];
    const result = crossValidate(ridge(), rows, targets, { onProgress: (share) => done.push(share) });
    expect(result.kendallTau).toBeGreaterThan(0.8);
    expect(result.spearman).toBeGreaterThan(result.kendallTau);
    expect(result.mape).toBeGreaterThan(0);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    const abort = new AbortController();
    expect(() =>
      crossValidate(ridge(), rows, targets, { signal: abort.signal, onProgress: () => abort.abort() }),
    ).toThrow(expect.objectContaining({ code: 'aborted' }));
  });
});
