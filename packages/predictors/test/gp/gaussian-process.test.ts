import '@hip/testing';
import { inverse, Matrix } from 'ml-matrix';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gaussianProcess, PredictorError } from '../../src/index.ts';
import { tableOf } from '../../src/core/table.ts';
import { SavedState } from '../../src/core/saved.ts';
import { loadGaussianProcess } from '../../src/gp/posterior.ts';
import { learn } from '../../src/gp/learn.ts';
import { logLikelihood, type GpKernel, type GpProblem } from '../../src/gp/likelihood.ts';
import { gramOf, trendColumns, trendOf } from '../../src/gp/trend.ts';
import { loadModel } from '../../src/index.ts';
import { binary, queries, samples, twelve } from '../fixtures/data.ts';

const kernels: readonly GpKernel[] = ['rbf', 'matern52'];

/** A process with given hyperparameters, from the state it would be saved with. */
function processOf(
  kernel: GpKernel,
  rows: readonly number[][],
  targets: readonly number[],
  parameters: readonly number[],
  groups: readonly number[],
) {
  const d = groups.length;
  const state = {
    kernel,
    means: Array.from({ length: d }, () => 0),
    deviations: Array.from({ length: d }, () => 1),
    rows: rows.length,
    table: rows.flat(),
    targets,
    mean: 0,
    deviation: 1,
    groups,
    parameters,
  };
  return loadGaussianProcess(new SavedState('gaussian-process', state), d);
}

function problemOf(
  kernel: GpKernel,
  rows: readonly number[][],
  targets: readonly number[],
  groups: readonly number[],
): GpProblem {
  return {
    kernel,
    table: tableOf(rows),
    targets: Float64Array.from(targets),
    groups: Int32Array.from(groups),
    groupCount: Math.max(...groups) + 1,
  };
}

/** The covariance from its definition. */
function kernelOf(
  kernel: GpKernel,
  a: readonly number[],
  b: readonly number[],
  parameters: readonly number[],
  groups: readonly number[],
): number {
  const q = a.reduce((sum, v, k) => sum + ((v - b[k]!) / Math.exp(parameters[2 + groups[k]!]!)) ** 2, 0);
  const r = Math.sqrt(5 * q);
  return Math.exp(parameters[0]!) * (kernel === 'rbf' ? Math.exp(-q / 2) : (1 + r + (5 * q) / 3) * Math.exp(-r));
}

// σ_f² 1.7, σ_n² 0.01, ℓ 0.7 and 1.3, as given to scikit-learn 1.9.1.
const golden = { parameters: [Math.log(1.7), Math.log(0.01), Math.log(0.7), Math.log(1.3)], groups: [0, 1] };
const sklearn = {
  rbf: {
    mean: [0.9826705295020377, 0.5338364883938533],
    std: [0.11663029512056654, 0.19398821456722262],
    value: 0.38658130195822693,
    gradient: [0.29446356914279903, -2.2311068113919568, -3.337711566645783, 0.2563967566361542],
  },
  matern52: {
    mean: [0.9527833094598592, 0.5663284144403729],
    std: [0.13874752463243473, 0.31869686928745894],
    value: -0.6613442290619691,
    gradient: [-2.049404287300252, -1.793642187289839, 2.3334443529800852, 2.7435069669699335],
  },
};

describe.each(kernels)('%s', (kernel) => {
  it('has scikit-learn’s likelihood, gradient and predictions', () => {
    const { value, gradient } = logLikelihood(
      problemOf(kernel, twelve.rows, twelve.targets, golden.groups),
      Float64Array.from(golden.parameters),
    );
    expect(value).toBeCloseTo(sklearn[kernel].value, 5);
    expect(gradient).toBeAllclose(sklearn[kernel].gradient, { rtol: 1e-5 });
    const model = processOf(kernel, twelve.rows, twelve.targets, golden.parameters, golden.groups);
    const { mean, std } = model.predictWithStd(queries);
    expect(mean).toBeAllclose(sklearn[kernel].mean, { rtol: 1e-6 });
    expect(std).toBeAllclose(sklearn[kernel].std, { rtol: 1e-6 });
    expect(model.predict(queries)).toEqual(mean);
    expect(model.logLikelihood).toBeCloseTo(value, 9);
  });

  it('the gradient is what finite differences give', () => {
    fc.assert(
      fc.property(
        samples({ rows: [3, 10], columns: [2, 4] }),
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 6, maxLength: 6 }),
        fc.boolean(),
        fc.boolean(),
        ({ rows, targets }, numbers, shared, hasTrend) => {
          const groups = rows[0]!.map((_, k) => (shared ? 0 : k >> 1));
          const plain = problemOf(kernel, rows, targets, groups);
          const trend = gramOf(trendColumns(plain.table, trendOf(plain.table, 1)));
          const problem = hasTrend ? { ...plain, trend } : plain;
          const own = numbers.slice(2, 2 + problem.groupCount + Number(hasTrend));
          const at = Float64Array.from([numbers[0]!, numbers[1]! - 1.5, ...own]);
          const { gradient } = logLikelihood(problem, at);
          at.forEach((_, k) => {
            const step = 1e-5;
            const moved = (by: number) =>
              logLikelihood(
                problem,
                at.map((v, i) => (i === k ? v + by : v)),
              ).value;
            const difference = (moved(step) - moved(-step)) / (2 * step);
            expect(Math.abs(gradient[k]! - difference)).toBeLessThan(1e-4 * (1 + Math.abs(difference)));
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('posterior and leave-one-out residuals are the textbook’s, from an explicit inverse and from refits', () => {
    const { rows, targets } = twelve;
    const { parameters, groups } = golden;
    const K = new Matrix(
      rows.map((a, i) => rows.map((b, j) => kernelOf(kernel, a, b, parameters, groups) + (i === j ? 0.01 : 0))),
    );
    const inverted = inverse(K);
    const model = processOf(kernel, rows, targets, parameters, groups);
    const { mean, std } = model.predictWithStd(queries);
    queries.forEach((query, i) => {
      const k = Matrix.columnVector(rows.map((row) => kernelOf(kernel, query, row, parameters, groups)));
      const solved = inverted.mmul(k);
      expect(mean[i]).toBeCloseTo(
        targets.reduce((sum, y, j) => sum + y * solved.get(j, 0), 0),
        5,
      );
      expect(std[i]! ** 2).toBeCloseTo(1.7 + 0.01 - k.transpose().mmul(solved).get(0, 0), 6);
    });
    const refitted = rows.map(
      (row, i) =>
        targets[i]! -
        processOf(kernel, rows.toSpliced(i, 1), targets.toSpliced(i, 1), parameters, groups).predict([row])[0]!,
    );
    expect(model.looResiduals()).toBeAllclose(refitted, { rtol: 1e-4, atol: 1e-6 });
  });
});

describe('gaussianProcess', () => {
  it('raises the likelihood above that of other settings', () => {
    const { rows, targets } = binary(60, 6, 1, 0.02);
    const model = gaussianProcess({ ard: false, standardize: false, maxEvaluations: 60 }).fit(rows, targets);
    const scale = Math.sqrt(targets.reduce((sum, y) => sum + (y - targets.reduce((a, b) => a + b) / 60) ** 2, 0) / 60);
    const mean = targets.reduce((a, b) => a + b) / 60;
    const problem = problemOf(
      'rbf',
      rows,
      targets.map((y) => (y - mean) / scale),
      rows[0]!.map(() => 0),
    );
    for (const signal of [0, 1, 3]) {
      for (const noise of [-6, -3, -1]) {
        for (const length of [-1, 0, 1, 2]) {
          expect(logLikelihood(problem, Float64Array.of(signal, noise, length)).value).toBeLessThan(
            model.logLikelihood + 0.01,
          );
        }
      }
    }
  });

  it('finds out which columns matter', () => {
    const { rows } = binary(150, 8, 5);
    const model = gaussianProcess().fit(
      rows,
      rows.map((row) => Math.sin(2 * row[0]! + row[1]!) + row[0]! * row[1]!),
    );
    const [a, b, ...rest] = model.lengths;
    expect(Math.min(...rest)).toBeGreaterThan(2 * Math.max(a!, b!));
  });

  it('columns of one group share a length scale', () => {
    const { rows, targets } = binary(50, 4, 6);
    const { lengths } = gaussianProcess({ ard: [7, 7, 3, 3], standardize: false }).fit(rows, targets);
    expect(lengths[0]).toBe(lengths[1]);
    expect(lengths[2]).toBe(lengths[3]);
    expect(lengths[0]).not.toBe(lengths[2]);
    expect(() => gaussianProcess({ ard: [0] }).fit(rows, targets)).toThrow(PredictorError);
  });

  it('takes noise for noise, and its deviations cover the errors', () => {
    const clean = gaussianProcess({ ard: false }).fit(...pair(binary(150, 10, 7)));
    const model = gaussianProcess({ ard: false }).fit(...pair(binary(150, 10, 7, 0.1)));
    expect(model.noise).toBeGreaterThan(3 * clean.noise);
    const fresh = binary(500, 10, 8, 0.1);
    const { mean, std } = model.predictWithStd(fresh.rows);
    const covered = fresh.targets.filter((y, i) => Math.abs(y - mean[i]!) < 1.96 * std[i]!).length / 500;
    expect(covered).toBeGreaterThan(0.88);
    expect(covered).toBeLessThan(0.995);
  });

  it('learns hyperparameters on a sample, and predicts from all rows', () => {
    const { rows, targets } = binary(260, 8, 9);
    const model = gaussianProcess({ likelihoodRows: 80 }).fit(rows, targets, { seed: 3 });
    expect(model.predict(rows)).toBeAllclose(targets, { rtol: 0.02, atol: 0.02 });
  });

  it('knows a trend far from the rows, where a process alone goes back to the mean, and is no worse without one', () => {
    const { rows } = binary(40, 3, 10);
    const real = rows.map((row, i) => row.map((x, k) => x + Math.sin(7 * i + k)));
    const bowl = (row: readonly number[]): number => row.reduce((sum, x, k) => sum + (x - k) ** 2, 0);
    const far = [
      [9, -4, 6],
      [-5, 8, -8],
    ];
    const error = (trend: boolean): number => {
      const values = gaussianProcess({ trend }).fit(real, real.map(bowl)).predict(far);
      return Math.max(...far.map((row, i) => Math.abs(values[i]! / bowl(row) - 1)));
    };
    expect(error(true)).toBeLessThan(0.05);
    expect(error(false)).toBeGreaterThan(0.2);
    const wave = (row: readonly number[]): number => Math.sin(3 * row[0]!) * Math.cos(2 * row[1]!);
    const fresh = real.map((row) => row.map((x) => x + 0.05));
    const miss = (trend: boolean): number => {
      const values = gaussianProcess({ trend }).fit(real, real.map(wave)).predict(fresh);
      return Math.sqrt(fresh.reduce((sum, row, i) => sum + (values[i]! - wave(row)) ** 2, 0) / fresh.length);
    };
    expect(miss(true)).toBeLessThan(1.2 * miss(false) + 0.01);
  });

  it('with a trend is a process of the sum of both covariances, and comes back from JSON', () => {
    const { rows, targets } = twelve;
    const model = gaussianProcess({ trend: true, ard: false, standardize: false }).fit(rows, targets);
    const { mean, std } = model.predictWithStd(queries);
    expect(model.predict(queries)).toEqual(mean);
    expect(loadModel(JSON.parse(JSON.stringify(model))).predictWithStd(queries)).toEqual({ mean, std });
    const { state } = model.toJSON() as unknown as {
      state: {
        parameters: number[];
        means: number[];
        deviation: number;
        mean: number;
        trend: { unit: number; squared: number[]; centres: number[] };
      };
    };
    const { parameters, means, trend } = state;
    const columns = (row: readonly number[]): number[] => {
      const own = row.map((x, k) => (x - means[k]!) / trend.unit);
      const all = [...own, ...trend.squared.map((k, s) => own[k]! ** 2 - trend.centres[s]!)];
      return all.map((x) => x / Math.sqrt(all.length));
    };
    const sum = (a: readonly number[], b: readonly number[]): number =>
      kernelOf('rbf', a, b, parameters, [0, 0]) +
      Math.exp(parameters.at(-1)!) * columns(a).reduce((total, x, k) => total + x * columns(b)[k]!, 0);
    const noise = Math.exp(parameters[1]!);
    const jitter = 1e-9 * Math.exp(parameters[0]!);
    const inverted = inverse(
      new Matrix(rows.map((a, i) => rows.map((b, j) => sum(a, b) + (i === j ? noise + jitter : 0)))),
    );
    queries.forEach((query, i) => {
      const solved = inverted.mmul(Matrix.columnVector(rows.map((row) => sum(query, row))));
      const expected = targets.reduce(
        (total, y, j) => total + ((y - state.mean) / state.deviation) * solved.get(j, 0),
        0,
      );
      expect(mean[i]).toBeCloseTo(state.mean + state.deviation * expected, 4);
      const explained = rows.reduce((total, row, j) => total + sum(query, row) * solved.get(j, 0), 0);
      expect((std[i]! / state.deviation) ** 2).toBeCloseTo(sum(query, query) + noise - explained, 4);
    });
    for (const broken of [{ unit: 0 }, { squared: [7] }, { centres: [1] }, 3]) {
      const damaged = typeof broken === 'number' ? broken : { ...trend, ...broken };
      expect(() => loadModel({ ...model.toJSON(), state: { ...state, trend: damaged } })).toThrow(PredictorError);
    }
  });

  it('survives constant targets, repeated rows that disagree, and one row', () => {
    expect(
      gaussianProcess()
        .fit([[1], [2]], [3, 3])
        .predict([[9]])[0],
    ).toBeCloseTo(3, 9);
    const rows = Array.from({ length: 9 }, (_, i) => [i % 3]);
    expect(
      gaussianProcess()
        .fit(
          rows,
          rows.map((_, i) => i),
        )
        .predict([[1]])[0],
    ).toBeCloseTo(4, 0);
    expect(
      gaussianProcess()
        .fit([[1, 2]], [5])
        .predict([[1, 2]])[0],
    ).toBeCloseTo(5, 9);
  });

  it('refuses senseless options', () => {
    for (const options of [
      { ardSpread: 0 },
      { likelihoodRows: 1 },
      { maxEvaluations: 0 },
      { kernel: 'cosine' as 'rbf' },
    ]) {
      expect(() => gaussianProcess(options)).toThrow(PredictorError);
    }
  });
});

function pair({ rows, targets }: { rows: number[][]; targets: number[] }): [number[][], number[]] {
  return [rows, targets];
}

describe('the prior on single length scales', () => {
  const { rows, targets } = binary(30, 3, 5, 0.1);
  const mean = targets.reduce((a, b) => a + b, 0) / targets.length;
  const problem = problemOf(
    'rbf',
    rows,
    targets.map((value) => value - mean),
    [0, 1, 2],
  );
  const start = Float64Array.of(0, -3, 3, -1, 2);
  const learnt = (spread: number): Float64Array => {
    const steps = learn(problem, start, 400, { centre: 0.5, spread });
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
    }
  };

  it('pulls them to its centre, the harder the smaller its spread', () => {
    for (const length of learnt(0.01).subarray(2)) expect(length).toBeCloseTo(0.5, 2);
    const apart = (spread: number) =>
      Math.hypot(
        ...learnt(spread)
          .subarray(2)
          .map((length) => length - 0.5),
      );
    expect(apart(0.3)).toBeGreaterThan(apart(0.1));
    expect(apart(3)).toBeGreaterThan(apart(0.3));
  });

  it('holds them where it balances the likelihood', () => {
    for (const spread of [0.3, 1]) {
      const at = learnt(spread);
      const { gradient } = logLikelihood(problem, at);
      for (let k = 2; k < 5; k++) expect(Math.abs(gradient[k]! - (at[k]! - 0.5) / spread ** 2)).toBeLessThan(0.02);
    }
  });
});
