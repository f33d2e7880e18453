// Predictions do not depend on the units of features and targets, nor on the order of the rows where none is documented; one row gives no certainty.
import '@hip/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  auto,
  boostedTrees,
  fitStandardizer,
  gaussianProcess,
  loadModel,
  nearestNeighbours,
  PredictorError,
  randomForest,
  ridge,
  rmse,
  stacking,
  svr,
  type Model,
  type Regressor,
} from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
import { uniform } from '../fixtures/data.ts';

const regressors: Readonly<Record<string, Regressor>> = {
  ridge: ridge(),
  svr: svr({ cost: [1, 10], gamma: 0.3 }),
  'linear svr': svr({ kernel: 'linear' }),
  'gaussian process': gaussianProcess({ maxEvaluations: 8 }),
  matern: gaussianProcess({ kernel: 'matern52', ard: false, maxEvaluations: 8 }),
  'random forest': randomForest({ trees: 8 }),
  'boosted trees': boostedTrees({ trees: 12 }),
  'nearest neighbours': nearestNeighbours(),
  stacking: stacking({ line: ridge(), near: nearestNeighbours(), forest: randomForest({ trees: 5 }) }),
  auto: auto({ candidates: { line: ridge(), machine: svr({ cost: 1, gamma: 0.3 }) } }),
};

/** A smooth function, a switch and a column that says nothing. */
function dataOf(seed: number, count: number) {
  const random = new Random(seed);
  const rows = Array.from({ length: count }, () => [uniform(random), random.below(2), uniform(random), 5]);
  return { rows, targets: rows.map(([a, b, c]) => 3 + Math.sin(4 * a!) + b! * c! + 0.02 * uniform(random)) };
}
const queries = dataOf(99, 7).rows;
const inUnits = (rows: readonly (readonly number[])[], factors: readonly number[]) =>
  rows.map((row) => row.map((value, k) => value * factors[k]!));

/** Means and, where there are some, deviations. */
function predictionsOf(model: Model, rows: readonly (readonly number[])[]): number[] {
  try {
    const { mean, std } = model.predictWithStd(rows);
    return [...mean, ...std];
  } catch (error) {
    if (!(error instanceof PredictorError) || error.code !== 'no-std') throw error;
    return [...model.predict(rows)];
  }
}

const power = (base: number, least: number, most: number) =>
  fc.integer({ min: least, max: most }).map((p) => base ** p);

describe.each(Object.entries(regressors))('%s', (name, regressor) => {
  it('predicts the same in units from 1e-9 to 1e9', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.array(power(10, -9, 9), { minLength: 4, maxLength: 4 }),
        power(10, -9, 9),
        (seed, features, target) => {
          const { rows, targets } = dataOf(seed, 24);
          const plain = predictionsOf(regressor.fit(rows, targets), queries);
          const model = regressor.fit(
            inUnits(rows, features),
            targets.map((y) => y * target),
          );
          const other = predictionsOf(model, inUnits(queries, features));
          // What a solver stops at may differ by its tolerance, 1e-3 of a deviation of the targets.
          const atol = /svr|auto/.test(name) ? 5e-3 : 1e-6;
          expect(other.map((value) => value / target)).toBeAllclose(plain, { rtol: 1e-6, atol });
        },
      ),
      { numRuns: 12 },
    );
  });

  it('to the bit where the change of unit changes no digit', () => {
    const { rows, targets } = dataOf(5, 30);
    const factors = [2 ** -100, 2 ** 100, 2 ** -30, 2 ** 7];
    const plain = predictionsOf(regressor.fit(rows, targets), queries);
    const model = regressor.fit(
      inUnits(rows, factors),
      targets.map((y) => y * 2 ** -40),
    );
    const other = predictionsOf(model, inUnits(queries, factors)).map((value) => value * 2 ** 40);
    expect(other).toBeAllclose(plain, { rtol: /process|matern/.test(name) ? 1e-9 : 1e-12 });
    expect(predictionsOf(loadModel(JSON.parse(JSON.stringify(model))), inUnits(queries, factors))).toEqual(
      predictionsOf(model, inUnits(queries, factors)),
    );
  });

  it('where squares of the targets, or of the features, vanish', () => {
    const { rows, targets } = dataOf(8, 30);
    const plain = predictionsOf(regressor.fit(rows, targets), queries);
    for (const [feature, target] of [
      [1, 2 ** -900],
      [2 ** -900, 1],
      [2 ** -480, 2 ** -600],
    ] as const) {
      const factors = queries[0]!.map(() => feature);
      const model = regressor.fit(
        inUnits(rows, factors),
        targets.map((y) => y * target),
      );
      const other = predictionsOf(model, inUnits(queries, factors)).map((value) => value / target);
      expect(other).toBeAllclose(plain, { rtol: 1e-9 });
    }
  });

  it('takes a column that differs by rounding only for constant, whatever its size', () => {
    const { rows, targets } = dataOf(6, 30);
    const plain = regressor.fit(
      rows.map(([a, b, c]) => [a!, b!, c!, 0]),
      targets,
    );
    const wanted = plain.predict(queries.map(([a, b, c]) => [a!, b!, c!, 0]));
    if (/trees|forest|stacking/.test(name)) return; // a tree splits between any two numbers, and rounding gains it nothing
    for (const size of [1e-18, 0.3, 1e18]) {
      const model = regressor.fit(
        rows.map(([a, b, c], i) => [a!, b!, c!, size * (1 + (i % 3) * 2 ** -52)]),
        targets,
      );
      expect(model.predict(queries.map(([a, b, c]) => [a!, b!, c!, size]))).toBeAllclose(wanted, { rtol: 1e-9 });
    }
  });

  it('of targets that are all alike predicts them, and nothing else', () => {
    const { rows } = dataOf(7, 20);
    for (const value of [0, 1e-15, -3, 1e15]) {
      const model = regressor.fit(
        rows,
        rows.map(() => value),
      );
      expect(model.predict(queries)).toBeAllclose(
        queries.map(() => value),
        { rtol: 1e-9 },
      );
      // No deviation of a unit of its own: at most a share of the value.
      const widest = Math.max(0, ...predictionsOf(model, queries).slice(queries.length));
      expect(value === 0 ? 0 : widest / Math.abs(value)).toBeLessThanOrEqual(1);
    }
  });

  it('of one row is certain of nothing', () => {
    const model = regressor.fit([[1, 2]], [3]);
    expect(
      model.predict([
        [1, 2],
        [5, 5],
      ]),
    ).toBeAllclose([3, 3], { rtol: 1e-9 });
    for (const one of [model, loadModel(JSON.parse(JSON.stringify(model)))])
      expect(() => one.predictWithStd([[1, 2]])).toThrow(expect.objectContaining({ code: 'no-std' }));
  });
});

describe('columns left as they are', () => {
  const raw = { standardize: false } as const;
  it.each<[string, Regressor]>([
    ['ridge', ridge(raw)],
    ['svr', svr({ ...raw, cost: 10, gamma: 0.3 })],
    ['gaussian process', gaussianProcess({ ...raw, maxEvaluations: 12 })],
    ['one length for all', gaussianProcess({ ...raw, ard: false, maxEvaluations: 12 })],
    ['nearest neighbours', nearestNeighbours(raw)],
  ])('may have any unit in common: %s', (_, regressor) => {
    const { rows, targets } = dataOf(8, 30);
    const wanted = regressor.fit(rows, targets).predict(queries);
    for (const factor of [2 ** -30, 2 ** 30]) {
      const factors = [factor, factor, factor, factor];
      expect(regressor.fit(inUnits(rows, factors), targets).predict(inUnits(queries, factors))).toBeAllclose(wanted, {
        rtol: 1e-6,
      });
    }
    // Below that, squares of differences are 0: that is said, and not taken for rows that are all alike.
    expect(() => regressor.fit(inUnits(rows, [1e-170, 1e-170, 1e-170, 1e-170]), targets)).toThrow(
      expect.objectContaining({ code: 'invalid-data', message: expect.stringContaining('multiply') as string }),
    );
  });
});

describe('the standardizer', () => {
  it('knows a column of any size that varies, and one that does not', () => {
    for (const size of [1e-200, 1e-13, 1e-9, 1, 1e9, 1e100]) {
      const rows = [
        [size, size],
        [3 * size, size * (1 + 2 ** -52)],
        [2 * size, size],
      ];
      const { means, deviations } = fitStandardizer(rows);
      expect(means[0]! / size).toBeCloseTo(2, 12);
      expect(deviations[0]! / size).toBeCloseTo(Math.sqrt(2 / 3), 12);
      expect(deviations[1]).toBe(1);
    }
    // Varying by a millionth of its size is varying.
    expect(fitStandardizer([[1e9], [1e9 + 1e3]]).deviations[0]).toBeCloseTo(500, 6);
    expect(fitStandardizer([[1e12], [1e12 + 1]]).deviations[0]).toBeCloseTo(0.5, 6);
  });
});

it('an error of any size has its root mean square', () => {
  for (const size of [1e-200, 1e-9, 1, 1e9, 1e200]) expect(rmse([size, -size], [0, 0]) / size).toBeCloseTo(1, 12);
  expect(rmse([1, 2], [1, 2])).toBe(0);
  expect(rmse([Number.NaN, 2], [1, 2])).toBeNaN();
});
