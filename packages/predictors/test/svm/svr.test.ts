import '@hip/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PredictorError, svr } from '../../src/index.ts';
import { solveSvr } from '../../src/svm/smo.ts';
import { binary, queries, samples, twelve } from '../fixtures/data.ts';

const rbf = (rows: readonly number[][], gamma: number) =>
  Float64Array.from(
    rows.flatMap((a) => rows.map((b) => Math.exp(-gamma * a.reduce((sum, v, k) => sum + (v - b[k]!) ** 2, 0)))),
  );

/** ½βᵀKβ − βᵀy + ε‖β‖₁. */
function dual(kernel: Float64Array, targets: readonly number[], beta: ArrayLike<number>, epsilon: number): number {
  const n = targets.length;
  let value = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) value += 0.5 * beta[i]! * beta[j]! * kernel[i * n + j]!;
    value += epsilon * Math.abs(beta[i]!) - beta[i]! * targets[i]!;
  }
  return value;
}

const settings = fc.record({
  cost: fc.constantFrom(0.1, 1, 10),
  epsilon: fc.constantFrom(0, 0.05, 0.3),
  gamma: fc.constantFrom(0.1, 1),
});

describe('the solver', () => {
  it('meets the optimality conditions', () => {
    fc.assert(
      fc.property(samples({ rows: [2, 25] }), settings, ({ rows, targets }, { cost, epsilon, gamma }) => {
        const kernel = rbf(rows, gamma);
        const n = rows.length;
        const tolerance = 1e-6;
        const { beta, bias, converged } = solveSvr(kernel, Float64Array.from(targets), {
          cost,
          epsilon,
          tolerance,
          maxIterations: 1e6,
        });
        expect(converged).toBe(true);
        expect(beta.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 9);
        for (let i = 0; i < n; i++) {
          let value = bias;
          for (let j = 0; j < n; j++) value += beta[j]! * kernel[i * n + j]!;
          const residual = targets[i]! - value;
          expect(Math.abs(beta[i]!)).toBeLessThanOrEqual(cost);
          // Inside the tube: no part in it. On its edge: free. Outside: at the bound, on that side.
          const side = Math.sign(beta[i]!);
          const slack = [Math.abs(residual) - epsilon, Math.abs(side * residual - epsilon), epsilon - side * residual];
          expect(slack[side === 0 ? 0 : Math.abs(beta[i]!) < cost ? 1 : 2]!).toBeLessThanOrEqual(5 * tolerance);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('no other feasible point is better', () => {
    fc.assert(
      fc.property(
        samples({ rows: [3, 8] }),
        settings,
        fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
        ({ rows, targets }, { cost, epsilon, gamma }, stream) => {
          const kernel = rbf(rows, gamma);
          const { beta } = solveSvr(kernel, Float64Array.from(targets), {
            cost,
            epsilon,
            tolerance: 1e-8,
            maxIterations: 1e6,
          });
          const best = dual(kernel, targets, beta, epsilon);
          for (let trial = 0; trial < 20; trial++) {
            const raw = rows.map(() => stream.next().value as number);
            const mean = raw.reduce((a, b) => a + b, 0) / raw.length;
            // Centred, and small enough for the box.
            const other = raw.map((v) => ((v - mean) * cost) / 2);
            expect(dual(kernel, targets, other, epsilon)).toBeGreaterThanOrEqual(best - 1e-7);
          }
        },
      ),
    );
  });
});

/** Undoes the regressor's scaling of targets, so that a plain SVR's cost and tube can be asked for. */
const deviation = (values: readonly number[]) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
};
const variance =
  (deviation(twelve.rows.map((row) => row[0]!)) ** 2 + deviation(twelve.rows.map((row) => row[1]!)) ** 2) / 2;

describe('svr', () => {
  const unit = deviation(twelve.targets);
  const plain = { standardize: false, folds: 0, tolerance: 1e-8, epsilon: 0.05 / unit };

  it('gives scikit-learn’s predictions, RBF', () => {
    const model = svr({ ...plain, cost: 2 / unit, gamma: 1.5 * 2 * variance }).fit(twelve.rows, twelve.targets);
    expect(model.predict(queries)).toBeAllclose([0.9399248906426663, 0.7482062451694742], { rtol: 1e-6 });
    expect(model.supportVectors).toBe(9);
  });

  it('gives scikit-learn’s predictions, linear', () => {
    // Its kernel is the inner product, here divided by columns · variance.
    const model = svr({ ...plain, kernel: 'linear', cost: (2 / unit) * 2 * variance }).fit(twelve.rows, twelve.targets);
    expect(model.predict(queries)).toBeAllclose([0.7335616701164451, 0.9420111308168606], { rtol: 1e-6 });
  });

  it('cross-validation chooses among the given settings, and its error is the deviation', () => {
    const { rows, targets } = binary(120, 10, 3, 0.02);
    const model = svr({ cost: [0.001, 10], gamma: [0.3] }).fit(rows, targets, { seed: 1 });
    expect(model.cost).toBe(10);
    const { std } = model.predictWithStd(rows.slice(0, 2));
    expect(std[0]).toBe(std[1]);
    const fresh = binary(400, 10, 4, 0.02);
    const error = Math.sqrt(
      model.predict(fresh.rows).reduce((sum, v, i) => sum + (v - fresh.targets[i]!) ** 2, 0) / 400,
    );
    expect(std[0]! / error).toBeGreaterThan(0.6);
    expect(std[0]! / error).toBeLessThan(1.6);
  });

  it('a lone outlier moves it less than it moves least squares', () => {
    const rows = Array.from({ length: 30 }, (_, i) => [i / 30]);
    const targets = rows.map(([x], i) => 2 * x! + (i === 15 ? 100 : 0));
    const model = svr({ kernel: 'linear', cost: 1, epsilon: 0.001 }).fit(rows, targets);
    expect(Math.abs(model.predict([[0.5]])[0]! - 1)).toBeLessThan(1);
  });

  it.each([
    ['linear', svr({ kernel: 'linear', epsilon: 0.05 })],
    ['RBF', svr()],
    ['one setting', svr({ cost: 1, gamma: 0.3 })],
  ] as const)('what one row can do is bounded, however far it is: %s', (_, regressor) => {
    const { rows, targets } = binary(60, 6, 5, 0.05);
    const clean = regressor.fit(rows, targets);
    const wanted = clean.predictWithStd(rows);
    const range = Math.max(...targets) - Math.min(...targets);
    const off = [10, 1e3, 1e6, 1e12, -1e12].map((outlier) => {
      const model = regressor.fit(
        rows,
        targets.map((y, i) => (i === 17 ? outlier : y)),
      );
      const { mean, std } = model.predictWithStd(rows);
      // The others; the row itself, where the kernel is narrow, may be believed in part.
      const errors = Array.from(mean, (value, i) => Math.abs(value - wanted.mean[i]!)).filter((_error, i) => i !== 17);
      expect(std[0]!).toBeLessThan(4 * wanted.std[0]!);
      expect(std[0]!).toBeGreaterThan(0.5 * wanted.std[0]!);
      return errors.reduce((a, b) => a + b) / errors.length;
    });
    for (const error of off) expect(error).toBeLessThan(0.12 * range);
    // Ten thousand or a million times as far away makes no difference.
    expect(off[3]!).toBeCloseTo(off[2]!, 2);
  });

  it('nor among targets most of which are equal', () => {
    const rows = Array.from({ length: 30 }, (_, i) => [i / 30]);
    for (const outlier of [1e3, 1e9]) {
      const model = svr({ kernel: 'linear' }).fit(
        rows,
        rows.map((_, i) => (i === 4 ? outlier : 7)),
      );
      expect(model.predict([[0.9]])[0]! - 7).toBeLessThan(0.5);
    }
    // Three that differ are no outliers: their distance is the scale.
    const steps = svr({ epsilon: 0.01 }).fit(
      rows,
      rows.map((_, i) => (i > 20 ? 8 : 7)),
    );
    expect(steps.predict([[0.1], [0.95]])[1]! - steps.predict([[0.1]])[0]!).toBeGreaterThan(0.8);
  });

  it('says so where it cannot give deviations, and refuses senseless options', () => {
    const model = svr({ folds: 0 }).fit(twelve.rows, twelve.targets);
    expect(() => model.predictWithStd(queries)).toThrow(expect.objectContaining({ code: 'no-std' }));
    for (const options of [
      { cost: 0 },
      { cost: [] },
      { gamma: -1 },
      { epsilon: -1 },
      { folds: 1 },
      { tolerance: 0 },
      { kernel: 'cubic' as 'rbf' },
    ]) {
      expect(() => svr(options)).toThrow(PredictorError);
    }
    expect(
      svr()
        .fit([[1], [2]], [3, 3])
        .predict([[9]])[0],
    ).toBeCloseTo(3, 9);
  });
});
