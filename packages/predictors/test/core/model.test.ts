import { describe, expect, it } from 'vitest';
import {
  auto,
  boostedTrees,
  gaussianProcess,
  nearestNeighbours,
  PredictorError,
  randomForest,
  ridge,
  stacking,
  svr,
  type Regressor,
} from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
import { binary } from '../fixtures/data.ts';

const { rows, targets } = binary(50, 6, 1, 0.05);
const regressors: Readonly<Record<string, Regressor>> = {
  ridge: ridge(),
  svr: svr(),
  gaussianProcess: gaussianProcess({ maxEvaluations: 10 }),
  randomForest: randomForest({ trees: 40 }),
  boostedTrees: boostedTrees({ trees: 30 }),
  nearestNeighbours: nearestNeighbours(),
  stacking: stacking({ a: ridge(), b: randomForest({ trees: 20 }) }),
  auto: auto({ candidates: { a: ridge(), b: randomForest({ trees: 20 }) }, folds: 3 }),
};

describe.each(Object.entries(regressors))('%s', (_, regressor) => {
  it('fits the same in steps, from typed rows, and again', async () => {
    const model = regressor.fit(rows, targets, { seed: 5 });
    const wanted = model.predict(rows);
    expect((await regressor.fitAsync(rows, targets, { seed: 5 })).predict(rows)).toEqual(wanted);
    const typed = rows.map((row) => Float32Array.from(row));
    expect(regressor.fit(typed, Float64Array.from(targets), { seed: 5 }).predict(typed)).toEqual(wanted);
    expect(model.features).toBe(6);
    const { mean, std } = model.predictWithStd(rows);
    expect(mean).toEqual(wanted);
    expect(std.every((value) => value >= 0 && Number.isFinite(value))).toBe(true);
    expect(model.predict([])).toHaveLength(0);
  });

  it('tells its progress, and stops at a signal', async () => {
    const done: number[] = [];
    regressor.fit(rows, targets, { onProgress: (share) => done.push(share) });
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(1);
    expect(done.length).toBeGreaterThan(1);
    const abort = new AbortController();
    const options = { signal: abort.signal, onProgress: () => abort.abort(new Error('enough')) };
    expect(() => regressor.fit(rows, targets, options)).toThrow(
      expect.objectContaining({ code: 'aborted', cause: expect.objectContaining({ message: 'enough' }) as unknown }),
    );
    await expect(regressor.fitAsync(rows, targets, { signal: abort.signal })).rejects.toThrow(PredictorError);
  });

  it('refuses data without sense', () => {
    const code = (run: () => unknown) => {
      try {
        run();
        return 'none';
      } catch (error) {
        return (error as PredictorError).code;
      }
    };
    expect(code(() => regressor.fit([], []))).toBe('invalid-data');
    expect(code(() => regressor.fit([[]], [1]))).toBe('invalid-data');
    expect(code(() => regressor.fit([[1], [2]], [1]))).toBe('invalid-data');
    expect(code(() => regressor.fit([[1, 2], [2]], [1, 2]))).toBe('invalid-data');
    expect(code(() => regressor.fit([[1], [NaN]], [1, 2]))).toBe('invalid-data');
    expect(code(() => regressor.fit([[1], [2]], [1, Infinity]))).toBe('invalid-data');
    expect(code(() => regressor.fit(rows, targets, { seed: NaN }))).toBe('invalid-option');
    const model = regressor.fit(rows, targets);
    expect(code(() => model.predict([[1, 2]]))).toBe('invalid-data');
    expect(code(() => model.predictWithStd([[1, 2, 3, 4, 5, NaN]]))).toBe('invalid-data');
  });
});

it.each([gaussianProcess(), ridge(), svr()])('refuses targets whose deviation is beyond float64', (regressor) => {
  const points = [[0], [1], [2]];
  expect(() => regressor.fit(points, [1e300, -1e300, 0])).toThrow(
    expect.objectContaining({ code: 'invalid-data', details: expect.objectContaining({ largest: 1e300 }) as unknown }),
  );
  expect(Number.isFinite(regressor.fit(points, [1e150, -1e150, 0]).predict([[0.5]])[0])).toBe(true);
});

describe('a signal that arrives during fitAsync', () => {
  it('ends it between steps', async () => {
    const abort = new AbortController();
    const fit = auto().fitAsync(rows, targets, { signal: abort.signal });
    setTimeout(() => abort.abort(), 5);
    await expect(fit).rejects.toThrow(expect.objectContaining({ code: 'aborted' }));
  });
});

describe('Random', () => {
  it('is uniform below a bound, and differs between seeds', () => {
    const random = new Random(1);
    const counts = new Uint32Array(7);
    for (let i = 0; i < 70_000; i++) counts[random.below(7)]!++;
    // χ² of 6 degrees of freedom: above 30 once in 25,000.
    expect(counts.reduce((sum, c) => sum + (c - 10_000) ** 2 / 10_000, 0)).toBeLessThan(30);
    const firsts = new Set(Array.from({ length: 1000 }, (_, seed) => new Random(seed).uint32()));
    expect(firsts.size).toBe(1000);
    expect([...new Random(3).permutation(9)].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
});
