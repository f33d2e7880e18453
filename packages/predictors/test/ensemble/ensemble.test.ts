import '@hip/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  auto,
  boostedTrees,
  defineRegressor,
  gaussianProcess,
  nearestNeighbours,
  PredictorError,
  randomForest,
  ridge,
  rmse,
  stacking,
  svr,
  type Regressor,
} from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
import { tableOf } from '../../src/core/table.ts';
import { simplexWeights } from '../../src/ensemble/weights.ts';
import { outOfFold } from '../../src/validation/cross-validate.ts';
import { kFold } from '../../src/validation/k-fold.ts';
import { binary } from '../fixtures/data.ts';

const value = fc.double({ min: -2, max: 2, noNaN: true });

describe('weights of a stack', () => {
  it('are the best point of the simplex, against a grid', () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 3, max: 8 })
          .chain((n) => fc.array(fc.array(value, { minLength: n, maxLength: n }), { minLength: 4, maxLength: 4 })),
        (lists) => {
          const [targets, ...predicted] = lists.map((list) => Float64Array.from(list));
          const error = (w: ArrayLike<number>) =>
            targets!.reduce(
              (sum, y, i) =>
                sum + (w[0]! * predicted[0]![i]! + w[1]! * predicted[1]![i]! + w[2]! * predicted[2]![i]! - y) ** 2,
              0,
            );
          const weights = simplexWeights(predicted, targets!);
          expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
          expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
          const found = error(weights);
          for (let a = 0; a <= 20; a++)
            for (let b = 0; a + b <= 20; b++)
              expect(found).toBeLessThanOrEqual(error([a / 20, b / 20, 1 - (a + b) / 20]) + 1e-5);
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** Runs a fit in steps to its end. */
function finish<T>(steps: Generator<number, T, void>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

const train = binary(120, 12, 1, 0.03);
const fresh = binary(400, 12, 2, 0.03);
const few = { line: ridge(), near: nearestNeighbours(), forest: randomForest({ trees: 30 }) };

describe('stacking', () => {
  it('is about as good as its best member, and is their weighted sum', () => {
    const model = stacking(few).fit(train.rows, train.targets, { seed: 3 });
    const single = Object.values(few).map((regressor) =>
      rmse(regressor.fit(train.rows, train.targets, { seed: 3 }).predict(fresh.rows), fresh.targets),
    );
    expect(rmse(model.predict(fresh.rows), fresh.targets)).toBeLessThan(1.05 * Math.min(...single));
    expect(Object.values(model.weights).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    const row = fresh.rows.slice(0, 1);
    const sum = Object.entries(model.members).reduce(
      (total, [name, member]) => total + model.weights[name]! * member.predict(row)[0]!,
      0,
    );
    expect(model.predict(row)[0]).toBeCloseTo(sum, 12);
  });

  it('leaves useless members out, and has a deviation where members have none', () => {
    const model = stacking({ line: ridge(), trees: boostedTrees({ folds: 0, trees: 40 }) }).fit(
      train.rows,
      train.targets,
    );
    const { std } = model.predictWithStd(fresh.rows);
    const { mean } = model.predictWithStd(fresh.rows);
    const covered = fresh.targets.filter((y, i) => Math.abs(y - mean[i]!) < 2 * std[i]!).length / 400;
    expect(covered).toBeGreaterThan(0.85);
    const straight = train.rows.map((row) => row.reduce((sum, v, k) => sum + k * v, 0));
    expect(Object.keys(stacking(few).fit(train.rows, straight).weights)).toEqual(['line']);
  });

  it('takes three rows, refuses no members', () => {
    expect(
      stacking(few)
        .fit([[0], [1], [2]], [1, 2, 3])
        .predict([[1]])[0],
    ).toBeCloseTo(2, 0);
    expect(() => stacking({})).toThrow(PredictorError);
  });
});

describe('auto', () => {
  it('chooses a line for a line and a smooth model for a curve', () => {
    const candidates = { ridge: ridge(), process: gaussianProcess({ ard: false }), near: nearestNeighbours() };
    const straight = train.rows.map((row) => row.reduce((sum, v, k) => sum + (k - 3) * v, 0));
    expect(
      auto({ candidates: { ridge: ridge(), near: nearestNeighbours() }, stack: false }).fit(train.rows, straight)
        .chosen,
    ).toBe('ridge');
    const rows = Array.from({ length: 60 }, (_, i) => [i / 60]);
    const wave = rows.map(([x]) => Math.sin(9 * x!));
    const model = auto({ candidates, metric: 'rmse', stack: false }).fit(rows, wave);
    expect(model.chosen).toBe('process');
    expect(model.scores['process']).toBeLessThan(model.scores['ridge']! / 5);
    expect(model.predict([[0.5]])[0]).toBeCloseTo(Math.sin(4.5), 3);
  });

  it('by default is within a fifth of its best candidate on new rows, whatever the metric', () => {
    for (const metric of ['rmse', 'kendall'] as const) {
      const model = auto({ metric, folds: 3 }).fit(train.rows, train.targets);
      const single = [ridge(), svr(), gaussianProcess(), randomForest()].map((regressor) =>
        rmse(regressor.fit(train.rows, train.targets).predict(fresh.rows), fresh.targets),
      );
      expect(rmse(model.predict(fresh.rows), fresh.targets)).toBeLessThan(1.2 * Math.min(...single));
      expect(Object.keys(model.scores)).toEqual([
        'ridge',
        'svr',
        'linearSvr',
        'gaussianProcess',
        'randomForest',
        'stack',
      ]);
    }
  });

  it('judges the stack on rows that its weights have not seen', () => {
    const members = {
      mean: ridge({ penalty: 1e9 }),
      near: nearestNeighbours(),
      nearest: nearestNeighbours({ neighbours: 1 }),
    };
    let worse = 0;
    for (let seed = 0; seed < 8; seed++) {
      // Noise: there is nothing to learn, and weights that knew the rows they are judged on could not lose to one member alone.
      const noise = new Random(seed);
      const targets = train.rows.slice(0, 40).map(() => noise.uint32() / 2 ** 32);
      const { scores } = auto({ candidates: members, metric: 'rmse' }).fit(train.rows.slice(0, 40), targets, { seed });
      const { stack, ...single } = scores;
      if (stack! > Math.min(...Object.values(single))) worse++;
      // And to the digit: the weights of each fold are those of the other folds.
      const table = tableOf(train.rows.slice(0, 40));
      const folds = kFold(40, { folds: 5, seed });
      const predicted = Object.values(members).map((member) =>
        finish(outOfFold(member, table, Float64Array.from(targets), folds, seed)),
      );
      const stacked = new Float64Array(40);
      for (const { train: others, test } of folds) {
        const weights = simplexWeights(
          predicted.map((values) => Float64Array.from(others, (row) => values[row]!)),
          Float64Array.from(others, (row) => targets[row]!),
        );
        for (const row of test)
          stacked[row] = predicted.reduce((sum, values, m) => sum + weights[m]! * values[row]!, 0);
      }
      expect(stack).toBeCloseTo(rmse(stacked, targets), 12);
    }
    expect(worse).toBeGreaterThan(3);
  });

  it('by default goes by order, and by the error where the order is alike', () => {
    const straight = train.rows.map((row) => 100 + row.reduce((sum, v, k) => sum + k * v, 0));
    // What a regressor predicts of a line, with something done to it: all the same order, or nearly the same values in another.
    const bent = (kind: string, bend: (value: number, index: number) => number): Regressor =>
      defineRegressor(kind, function* (table, targets, seed) {
        const line = yield* ridge({ penalty: 1e-9 }).steps(table, targets, seed);
        return { ...line, predict: (rows) => line.predict(rows).map(bend) };
      });
    const exact = bent('exact', (value) => value);
    const far = bent('far', (value) => 3 * value + 50);
    const shuffled = bent('shuffled', (value, index) => value + (index % 2 === 0 ? 3 : -3));
    const chosen = (candidates: Record<string, Regressor>) =>
      auto({ candidates, stack: false }).fit(train.rows, straight).chosen;
    expect(chosen({ shuffled, far })).toBe('far');
    expect(chosen({ far, exact })).toBe('exact');
    expect(auto({ candidates: { shuffled, far }, stack: false, metric: 'mape' }).fit(train.rows, straight).chosen).toBe(
      'shuffled',
    );
    // An actual value of 0 has no percentage; a constant has no order at all.
    expect(auto({ candidates: { far, exact }, stack: false }).fit(train.rows, straight.with(0, 0)).chosen).toBe(
      'exact',
    );
    expect(
      auto({ stack: false, folds: 2 })
        .fit(
          train.rows,
          straight.map(() => 7),
        )
        .predict(train.rows)[0],
    ).toBeCloseTo(7, 6);
  });

  it('prefers a high rank correlation and a low error', () => {
    const candidates = { near: nearestNeighbours({ neighbours: 40 }), line: ridge() };
    const straight = train.rows.map((row) => 100 + row.reduce((sum, v, k) => sum + k * v, 0));
    for (const metric of ['rmse', 'mape', 'kendall'] as const)
      expect(auto({ candidates, metric, stack: false }).fit(train.rows, straight).chosen).toBe('line');
  });

  it('takes constant targets and few rows; refuses a candidate named stack', () => {
    expect(
      auto({ candidates: few, metric: 'kendall' })
        .fit(
          train.rows.slice(0, 20),
          Array.from({ length: 20 }, () => 2),
        )
        .predict([train.rows[0]!])[0],
    ).toBeCloseTo(2, 9);
    expect(auto({ candidates: few }).fit([[1], [2]], [1, 2]).chosen).toBe('line');
    expect(() => auto({ candidates: { stack: ridge() } })).toThrow(PredictorError);
  });
});
