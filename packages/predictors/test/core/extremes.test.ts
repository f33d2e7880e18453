// Numbers near the end of float64: a finite answer, or an error that says so; never NaN, Infinity, or a fit without end.
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

const raw = { standardize: false } as const;
const regressors: Readonly<Record<string, Regressor>> = {
  ridge: ridge(),
  'ridge as is': ridge(raw),
  svr: svr(),
  'svr as is': svr(raw),
  'linear svr': svr({ kernel: 'linear' }),
  'gaussian process': gaussianProcess({ maxEvaluations: 8 }),
  'gaussian process as is': gaussianProcess({ maxEvaluations: 8, ...raw }),
  matern: gaussianProcess({ kernel: 'matern52', maxEvaluations: 8 }),
  'random forest': randomForest({ trees: 5 }),
  'boosted trees': boostedTrees({ trees: 10 }),
  'nearest neighbours': nearestNeighbours(),
  'nearest neighbours as is': nearestNeighbours(raw),
  stacking: stacking({ line: ridge(), machine: svr() }),
  auto: auto({ candidates: { line: ridge(), near: nearestNeighbours() } }),
};

const rowsOf = (scale: number) =>
  Array.from({ length: 30 }, (_, i) => [(i / 30) * scale, (((i * 7) % 30) / 30) * scale]);
const targetsOf = (scale: number) => Array.from({ length: 30 }, (_, i) => (i / 30) * scale);

/** Every number it gives, or `invalid-data`; other errors go through. */
function outcome(run: () => readonly Float64Array[]): 'finite' | 'invalid-data' | 'not finite' {
  try {
    return run().every((values) => values.every(Number.isFinite)) ? 'finite' : 'not finite';
  } catch (error) {
    if (!(error instanceof PredictorError) || error.code !== 'invalid-data') throw error;
    return 'invalid-data';
  }
}

describe.each(Object.entries(regressors))('%s', (_, regressor) => {
  it('asked about rows far from the training rows, answers finitely or says that it cannot', () => {
    for (const [feature, target] of [
      [1, 1],
      [1e100, 1],
      [1e153, 1],
      [1, 1e153],
    ] as const) {
      const model = regressor.fit(rowsOf(feature), targetsOf(target));
      expect(outcome(() => [model.predict([[2 * feature, feature]])])).toBe('finite');
      for (const x of [1e10, 1e100, 1e160, 2e200, 1.7e308]) {
        for (const row of [
          [x, x],
          [-x, x],
        ]) {
          const known = ['finite', 'invalid-data'];
          expect(known).toContain(outcome(() => [model.predict([[0, 0], row])]));
          expect(known).toContain(outcome(() => Object.values(model.predictWithStd([row, [0, 0]]))));
        }
      }
    }
  });

  it('fits features of 1e200, or refuses them at once', () => {
    const result = outcome(() => [regressor.fit(rowsOf(1e200), targetsOf(1)).predict([[2e200, 1e200]])]);
    expect(result).toBe(/trees|forest/.test(_) ? 'finite' : 'invalid-data');
  });

  it('refuses targets of 1e200', () => {
    expect(outcome(() => [regressor.fit(rowsOf(1), targetsOf(1e200)).predict([[0, 0]])])).toBe('invalid-data');
  });
});

describe('far from the training rows', () => {
  const rows = rowsOf(1);
  const line = targetsOf(1);

  it('a process returns to its mean and its widest deviation', () => {
    for (const kernel of ['rbf', 'matern52'] as const) {
      const model = gaussianProcess({ kernel, maxEvaluations: 8 }).fit(rows, line);
      const { mean, std } = model.predictWithStd([[1e160, 0]]);
      expect(mean[0]).toBeCloseTo(29 / 60, 9);
      expect(std[0]).toBeCloseTo(Math.hypot(model.signal, model.noise), 6);
    }
  });

  it('a line goes on, and its error names the row where it cannot', () => {
    const model = ridge({ penalty: 1e-9 }).fit(rows, line);
    expect(model.predict([[1e160, 0]])[0]! / 1e160).toBeCloseTo(1, 6);
    const steep = ridge({ penalty: 1e-9 }).fit(rows, targetsOf(1e150));
    expect(() =>
      steep.predict([
        [0, 0],
        [1e200, 0],
      ]),
    ).toThrow(expect.objectContaining({ code: 'invalid-data', details: { row: 1, value: Infinity } }));
  });
});
