// Logistic regression: the probability of one of two classes, as a sum over columns.
import { PredictorError } from '../errors.ts';
import { positive } from '../core/options.ts';
import { scale, scaled } from '../core/scaling.ts';
import { tableOf, type Rows } from '../core/table.ts';
import { dot, factorize, solveLower } from '../linalg/cholesky.ts';
import { minimizeLbfgs } from '../linalg/lbfgs.ts';

export interface LogisticOptions {
  /** Weight of the squared coefficients (of columns of unit deviation) against the mean loss of a row. @defaultValue 0.01 */
  readonly penalty?: number | undefined;
}

/** A fitted classifier. */
export interface LogisticModel {
  readonly features: number;
  /** Of each column, in its own unit. */
  readonly coefficients: Float64Array;
  readonly intercept: number;
  /** Probability of `true` for each row. */
  probabilities(rows: Rows): Float64Array;
  /**
   * The same, averaged over what the coefficients may be (Laplace's approximation, MacKay 1992): nearer to a half the less the training rows
   * say of a row, so that a row is only likely where rows like it were.
   */
  expectedProbabilities(rows: Rows): Float64Array;
}

/** Evaluations of the loss. */
const MOST_EVALUATIONS = 200;

/** Coefficients beyond this say nothing that this does not. */
const BOUND = 50;

/**
 * L2-penalised logistic regression (Hastie, Tibshirani and Friedman 2009 §4.4), fitted by L-BFGS. Both classes count alike, however many
 * rows they have: the probability is what it would be if there were as many of one as of the other.
 *
 * @param rows n rows of d features
 * @param labels n booleans, of both kinds
 * @throws PredictorError `invalid-data`, `invalid-option`
 *
 * @example
 * ```ts
 * import { fitLogistic } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 40 }, (_, i) => [i / 40]);
 * const model = fitLogistic(rows, rows.map(([x]) => x > 0.6));
 * const [low, high] = model.probabilities([[0.3], [0.9]]);
 * console.log(low < 0.1, high > 0.9); // => true true
 * ```
 */
export function fitLogistic(rows: Rows, labels: readonly boolean[], options: LogisticOptions = {}): LogisticModel {
  const { penalty = 0.01 } = options;
  positive('penalty', penalty);
  const table = tableOf(rows);
  const { rows: n, columns: d } = table;
  const positives = labels.reduce((sum, label) => sum + Number(label), 0);
  if (labels.length !== n || positives === 0 || positives === n) {
    throw new PredictorError(
      'invalid-data',
      `${labels.length} labels for ${n} rows, ${positives} of them true: give one a row, and some of both`,
      { rows: n, labels: labels.length, positives },
    );
  }
  const scaling = scale(table, true);
  const { data } = scaling.table;
  const weights = labels.map((label) => 0.5 / (label ? positives : n - positives));
  const objective = (point: Float64Array) => {
    const gradient = new Float64Array(d + 1);
    let value = 0;
    for (let i = 0; i < n; i++) {
      let sum = point[d]!;
      for (let k = 0; k < d; k++) sum += point[k]! * data[i * d + k]!;
      const margin = labels[i] ? sum : -sum;
      // log(1 + e^−m) without overflow.
      value += weights[i]! * (margin > 0 ? Math.log1p(Math.exp(-margin)) : Math.log1p(Math.exp(margin)) - margin);
      const slope = (weights[i]! * (labels[i] ? -1 : 1)) / (1 + Math.exp(margin));
      for (let k = 0; k < d; k++) gradient[k]! += slope * data[i * d + k]!;
      gradient[d]! += slope;
    }
    for (let k = 0; k < d; k++) {
      value += 0.5 * penalty * point[k]! ** 2;
      gradient[k]! += penalty * point[k]!;
    }
    return { value, gradient };
  };
  const steps = minimizeLbfgs(objective, new Float64Array(d + 1), {
    lower: new Float64Array(d + 1).fill(-BOUND),
    upper: new Float64Array(d + 1).fill(BOUND),
    maxEvaluations: MOST_EVALUATIONS,
    tolerance: 1e-5,
    maxStep: 10,
  });
  let step = steps.next();
  while (!step.done) step = steps.next();
  const { point } = step.value;
  const intercept = point
    .subarray(0, d)
    .reduce((sum, w, k) => sum - (w * scaling.means[k]!) / scaling.deviations[k]!, point[d]!);
  const sums = (values: Float64Array, count: number) =>
    Float64Array.from({ length: count }, (_, i) => {
      let sum = point[d]!;
      for (let k = 0; k < d; k++) sum += point[k]! * values[i * d + k]!;
      return sum;
    });
  let factor: Float64Array | undefined;
  /** Factor of the Hessian of all rows' loss: the inverse covariance of the coefficients. */
  const precision = (): Float64Array => {
    const size = d + 1;
    const matrix = new Float64Array(size * size);
    for (let k = 0; k < size; k++) matrix[k * size + k] = n * penalty;
    const fitted = sums(data, n);
    const row = new Float64Array(size).fill(1);
    for (let i = 0; i < n; i++) {
      const p = 1 / (1 + Math.exp(-fitted[i]!));
      const weight = n * weights[i]! * p * (1 - p);
      row.set(data.subarray(i * d, (i + 1) * d));
      for (let k = 0; k < size; k++) for (let j = 0; j <= k; j++) matrix[k * size + j]! += weight * row[k]! * row[j]!;
    }
    factorize(matrix, size);
    return matrix;
  };
  return {
    features: d,
    coefficients: point.subarray(0, d).map((w, k) => w / scaling.deviations[k]!),
    intercept,
    probabilities(asked) {
      const { data: values, rows: count } = scaled(tableOf(asked, d), scaling);
      return sums(values, count).map((sum) => 1 / (1 + Math.exp(-sum)));
    },
    expectedProbabilities(asked) {
      factor ??= precision();
      const { data: values, rows: count } = scaled(tableOf(asked, d), scaling);
      const row = new Float64Array(d + 1);
      return sums(values, count).map((sum, i) => {
        row.set(values.subarray(i * d, (i + 1) * d));
        row[d] = 1;
        solveLower(factor!, d + 1, row);
        const variance = dot(row, 0, row, 0, d + 1);
        return 1 / (1 + Math.exp(-sum / Math.sqrt(1 + (Math.PI / 8) * variance)));
      });
    },
  };
}
