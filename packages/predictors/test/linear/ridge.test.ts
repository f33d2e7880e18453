import '@hip/testing';
import { Matrix, solve } from 'ml-matrix';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PredictorError, ridge } from '../../src/index.ts';
import { queries, samples, twelve } from '../fixtures/data.ts';

/** Weights and intercept from the normal equations of [1, X] with the intercept not penalised. */
function normalEquations(rows: readonly number[][], targets: readonly number[], penalty: number): number[] {
  const X = new Matrix(rows.map((row) => [1, ...row]));
  const A = X.transpose().mmul(X);
  for (let k = 1; k < A.rows; k++) A.set(k, k, A.get(k, k) + penalty);
  return solve(A, X.transpose().mmul(Matrix.columnVector([...targets]))).to1DArray();
}

const penalties = fc.double({ min: 0.01, max: 100, noNaN: true });

describe('ridge', () => {
  it('solves the normal equations, with more rows than columns and with fewer', () => {
    fc.assert(
      fc.property(samples({ columns: [1, 20] }), penalties, ({ rows, targets }, penalty) => {
        const model = ridge({ penalty, standardize: false }).fit(rows, targets);
        const [intercept, ...weights] = normalEquations(rows, targets, penalty);
        expect(model.weights).toBeAllclose(weights, { rtol: 1e-6, atol: 1e-7 });
        expect(model.intercept).toBeCloseTo(intercept!, 6);
      }),
    );
  });

  it('closed-form leave-one-out is what refits without each row give', () => {
    fc.assert(
      fc.property(samples({ rows: [4, 10], columns: [1, 12] }), penalties, ({ rows, targets }, penalty) => {
        const regressor = ridge({ penalty, standardize: false });
        const squares = rows.map((row, i) => {
          const others = regressor.fit(rows.toSpliced(i, 1), targets.toSpliced(i, 1));
          return (others.predict([row])[0]! - targets[i]!) ** 2;
        });
        const refitted = Math.sqrt(squares.reduce((a, b) => a + b, 0) / rows.length);
        expect(regressor.fit(rows, targets).looRmse).toBeCloseTo(refitted, 6);
      }),
      { numRuns: 60 },
    );
  });

  it('of several penalties takes the one with the least leave-one-out error, and by default does no worse than a fine grid', () => {
    fc.assert(
      fc.property(samples({ rows: [6, 14] }), ({ rows, targets }) => {
        const grid = Array.from({ length: 25 }, (_, i) => 10 ** (i / 4 - 3));
        const errors = grid.map((penalty) => ridge({ penalty }).fit(rows, targets).looRmse);
        const chosen = ridge({ penalty: grid }).fit(rows, targets);
        expect(chosen.looRmse).toBeCloseTo(Math.min(...errors), 10);
      }),
      { numRuns: 40 },
    );
    const least = Math.min(
      ...Array.from(
        { length: 80 },
        (_, i) => ridge({ penalty: 10 ** (i / 10 - 5) }).fit(twelve.rows, twelve.targets).looRmse,
      ),
    );
    expect(ridge().fit(twelve.rows, twelve.targets).looRmse).toBeLessThan(least * 1.001);
  });

  it('gives scikit-learn’s predictions', () => {
    expect(ridge({ penalty: 0.3, standardize: false }).fit(twelve.rows, twelve.targets).predict(queries)).toBeAllclose(
      [0.8349595784314892, 0.8910743482537669],
      {
        rtol: 1e-10,
      },
    );
  });

  it('shifting targets shifts predictions; scaling a column changes nothing when columns are standardised', () => {
    fc.assert(
      fc.property(samples(), penalties, ({ rows, targets }, penalty) => {
        const plain = ridge({ penalty }).fit(rows, targets);
        const shifted = ridge({ penalty }).fit(
          rows,
          targets.map((y) => y + 100),
        );
        expect(shifted.predict(rows).map((y) => y - 100)).toBeAllclose(plain.predict(rows), { rtol: 1e-6, atol: 1e-8 });
        const wide = (all: readonly number[][]) => all.map(([a, ...rest]) => [1000 * a! + 5, ...rest]);
        expect(ridge({ penalty }).fit(wide(rows), targets).predict(wide(rows))).toBeAllclose(plain.predict(rows), {
          rtol: 1e-5,
          atol: 1e-6,
        });
      }),
    );
  });

  it('deviations are those of the Bayesian linear model', () => {
    const penalty = 0.7;
    const { rows, targets } = twelve;
    const model = ridge({ penalty, standardize: false }).fit(rows, targets);
    const means = [0, 1].map((k) => rows.reduce((sum, row) => sum + row[k]!, 0) / 12);
    const X = new Matrix(rows.map((row) => row.map((v, k) => v - means[k]!)));
    const A = X.transpose().mmul(X).add(Matrix.eye(2).mul(penalty));
    const leverage = (row: readonly number[]) => {
      const x = Matrix.columnVector(row.map((v, k) => v - means[k]!));
      return 1 / 12 + x.transpose().mmul(solve(A, x)).get(0, 0);
    };
    // The noise variance is the mean of e²/(1 − h) over the training rows.
    const fitted = model.predict(rows);
    const noise = rows.reduce((sum, row, i) => sum + (targets[i]! - fitted[i]!) ** 2 / (1 - leverage(row)), 0) / 12;
    const { std } = model.predictWithStd(queries);
    expect(std).toBeAllclose(
      queries.map((row) => Math.sqrt(noise * (1 + leverage(row)))),
      { rtol: 1e-8 },
    );
  });

  it('takes constant columns, constant targets and a single row', () => {
    const model = ridge().fit(
      [
        [1, 2],
        [1, 3],
        [1, 4],
      ],
      [5, 5, 5],
    );
    expect(model.predict([[1, 100]])[0]).toBeCloseTo(5, 9);
    expect(
      ridge()
        .fit([[1, 2]], [7])
        .predict([[3, 4]])[0],
    ).toBe(7);
    expect(
      ridge()
        .fit([[1], [1], [1]], [1, 2, 3])
        .predict([[9]])[0],
    ).toBeCloseTo(2, 9);
  });

  it('refuses penalties that are not positive', () => {
    for (const penalty of [0, -1, NaN, []]) expect(() => ridge({ penalty })).toThrow(PredictorError);
  });
});
