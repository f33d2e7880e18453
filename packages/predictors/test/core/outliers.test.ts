// One measurement that went wrong by a thousand changes nothing (docs/specification/instatune.md §6).
import { describe, expect, it } from 'vitest';
import {
  auto,
  boostedTrees,
  gaussianProcess,
  kendallTau,
  nearestNeighbours,
  randomForest,
  ridge,
  rmse,
  stacking,
  svr,
  type Regressor,
} from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
import { tameTargets } from '../../src/core/robust.ts';
import { uniform } from '../fixtures/data.ts';

const regressors: Readonly<Record<string, Regressor>> = {
  ridge: ridge(),
  svr: svr({ gamma: 0.3 }),
  'gaussian process': gaussianProcess({ ard: false }),
  'random forest': randomForest({ trees: 60 }),
  'boosted trees': boostedTrees({ trees: 60 }),
  'nearest neighbours': nearestNeighbours(),
  stacking: stacking({ line: ridge(), near: nearestNeighbours() }),
  auto: auto({ candidates: { line: ridge(), near: nearestNeighbours() } }),
};

function dataOf(seed: number, count: number) {
  const random = new Random(seed);
  const rows = Array.from({ length: count }, () => [uniform(random), uniform(random), uniform(random)]);
  return { rows, targets: rows.map(([a, b, c]) => 20 + 8 * a! - 5 * b! + Math.sin(4 * c!) + 0.3 * uniform(random)) };
}

describe('an outlier', () => {
  const { rows, targets } = dataOf(3, 60);
  const fresh = dataOf(4, 200);

  it.each(Object.entries(regressors))('one row of 60 times 1,000 changes little for %s', (_, regressor) => {
    const clean = regressor.fit(rows, targets).predict(fresh.rows);
    for (const row of [0, 17, 41]) {
      const wrong = targets.with(row, targets[row]! * 1000);
      const predicted = regressor.fit(rows, wrong).predict(fresh.rows);
      const order = kendallTau(predicted, fresh.targets);
      expect(order).toBeGreaterThan(kendallTau(clean, fresh.targets) - 0.06);
      expect(rmse(predicted, fresh.targets)).toBeLessThan(rmse(clean, fresh.targets) + 0.6);
    }
  });
});

describe('tameTargets', () => {
  const values = Float64Array.from({ length: 40 }, (_, i) => i % 7);

  it('moves an outlier to the furthest value that is none, on either side', () => {
    expect(tameTargets(values.with(3, 1e6))[3]).toBe(6);
    expect(tameTargets(values.with(3, -1e6))[3]).toBe(0);
  });

  it('leaves everything else as it is, to the bit and to the array', () => {
    expect(tameTargets(values)).toBe(values);
    const tamed = tameTargets(values.with(3, 1e6));
    expect(Array.from(tamed.with(3, 0))).toEqual(Array.from(values.with(3, 0)));
  });

  it('takes what is not rare, and what nearly all rows are, as it is', () => {
    const often = values.map((value, i) => (i % 13 === 0 ? 1e6 : value));
    expect(tameTargets(often)).toBe(often);
    const switched = Float64Array.from({ length: 40 }, (_, i) => Number(i === 5));
    expect(tameTargets(switched)).toBe(switched);
    const few = Float64Array.of(1, 2, 3, 1000);
    expect(tameTargets(few)).toBe(few);
  });
});
