// A fitted Gaussian process: its factor, what it predicts, and how it is saved (Rasmussen & Williams 2006, algorithm 2.1).
import type { Model } from '../core/model.ts';
import { oneRow } from '../core/one-row.ts';
import { plain, saveAs, SavedState } from '../core/saved.ts';
import { finite, scaled, type Scaling } from '../core/scaling.ts';
import { tableOf, type Rows, type Table } from '../core/table.ts';
import { dot, factorize, solveLower, solveUpper } from '../linalg/cholesky.ts';
import { byLengths, correlation, covariance, inverseSquares, type GpKernel } from './likelihood.ts';
import { gramOf, trendColumns, type Trend } from './trend.ts';

/** A fitted process. */
export interface GaussianProcessModel extends Model {
  readonly kind: 'gaussian-process';
  /** Of each column, in its own unit. */
  readonly lengths: Float64Array;
  /** Deviations of signal and noise, in the targets' unit. */
  readonly signal: number;
  readonly noise: number;
  /** Log marginal likelihood of all rows, for targets of unit deviation. */
  readonly logLikelihood: number;
  /** Leave-one-out residuals of the training rows with these hyperparameters (R&W eq. 5.12). */
  looResiduals(): Float64Array;
}

/** Everything that a fitted process is made of. */
export interface State {
  readonly kernel: GpKernel;
  readonly scaling: Scaling;
  /** Scaled features and targets of all rows. */
  readonly table: Table;
  readonly targets: Float64Array;
  readonly mean: number;
  readonly deviation: number;
  readonly groups: Int32Array;
  readonly trend: Trend | undefined;
  readonly parameters: Float64Array;
}

/** Rows predicted at once. */
const BLOCK = 256;

const NONE = new Float64Array(0);

/** The Cholesky factor of all rows' covariance; undefined where it is not numerically positive definite. */
export function factorOf({ kernel, table, targets, groups, trend, parameters }: State): Float64Array | undefined {
  const groupCount = parameters.length - 2 - Number(trend !== undefined);
  const gram = trend && gramOf(trendColumns(table, trend));
  const { matrix } = covariance({ kernel, table, targets, groups, groupCount, trend: gram }, parameters);
  return factorize(matrix, table.rows) ? matrix : undefined;
}

/** Coefficients of the trend's columns: what all training rows say of it together. */
function coefficientsOf({ rows, columns, data }: Table, alpha: Float64Array, slope: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < columns; k++) sums[k]! += slope * alpha[i]! * data[i * columns + k]!;
  return sums;
}

export function modelOf(state: State, factor: Float64Array): GaussianProcessModel {
  const { kernel, scaling, table, targets, mean, deviation, groups, trend, parameters } = state;
  const { rows: n, columns: d } = table;
  const basis = trend && trendColumns(table, trend);
  const slope = trend ? Math.exp(parameters.at(-1)!) : 0;
  const alpha = solveUpper(factor, n, solveLower(factor, n, Float64Array.from(targets)));
  const weights = inverseSquares({ groups }, parameters);
  const training = byLengths(table, weights);
  const norms = Float64Array.from({ length: n }, (_, i) => dot(training.data, i * d, training.data, i * d, d));
  const amplitude = Math.exp(parameters[0]!);
  const noise = Math.exp(parameters[1]!);

  const slopes = basis && coefficientsOf(basis, alpha, slope);

  /** Covariances with all training rows but for the trend's, into `into`. */
  const smoothInto = (row: Float64Array, from: number, into: Float64Array): void => {
    const norm = dot(row, from, row, from, d);
    for (let i = 0; i < n; i++) {
      const q = Math.max(0, norms[i]! + norm - 2 * dot(training.data, i * d, row, from, d));
      into[i] = amplitude * correlation(kernel, q);
    }
  };
  const means = (rows: Rows, visit?: (index: number, smooth: Float64Array, columns: Float64Array) => void) => {
    const values = new Float64Array(rows.length);
    const smooth = new Float64Array(n);
    for (let start = 0; start < rows.length; start += BLOCK) {
      const block = scaled(tableOf(rows.slice(start, start + BLOCK), d), scaling);
      const { data } = byLengths(block, weights);
      const columns = trend && trendColumns(block, trend);
      const width = columns?.columns ?? 0;
      for (let i = 0; i < block.rows; i++) {
        smoothInto(data, i * d, smooth);
        let value = dot(smooth, 0, alpha, 0, n);
        if (columns && slopes) value += dot(columns.data, i * width, slopes, 0, width);
        values[start + i] = mean + deviation * value;
        visit?.(start + i, smooth, columns ? columns.data.subarray(i * width, (i + 1) * width) : NONE);
      }
    }
    return finite(values);
  };
  return {
    kind: 'gaussian-process',
    features: d,
    lengths: Float64Array.from(groups, (group, k) => Math.exp(parameters[2 + group]!) * scaling.deviations[k]!),
    signal: deviation * Math.sqrt(amplitude),
    noise: deviation * Math.sqrt(noise),
    get logLikelihood() {
      let value = -0.5 * dot(alpha, 0, targets, 0, n) - 0.5 * n * Math.log(2 * Math.PI);
      for (let i = 0; i < n; i++) value -= Math.log(factor[i * n + i]!);
      return value;
    },
    predict: (rows) => means(rows),
    predictWithStd(rows) {
      if (n < 2) throw oneRow('Gaussian process');
      const std = new Float64Array(rows.length);
      const mean = means(rows, (i, cross, columns) => {
        let own = amplitude;
        if (basis) {
          const { columns: width, data } = basis;
          for (let j = 0; j < n; j++) cross[j]! += slope * dot(data, j * width, columns, 0, width);
          own += slope * dot(columns, 0, columns, 0, width);
        }
        solveLower(factor, n, cross);
        std[i] = deviation * Math.sqrt(Math.max(0, own - dot(cross, 0, cross, 0, n)) + noise);
      });
      return { mean, std: finite(std) };
    },
    looResiduals() {
      const unit = new Float64Array(n);
      return Float64Array.from({ length: n }, (_, i) => {
        unit.fill(0);
        unit[i] = 1;
        solveLower(factor, n, unit);
        return (deviation * alpha[i]!) / dot(unit, i, unit, i, n - i);
      });
    },
    toJSON: () =>
      saveAs('gaussian-process', d, {
        kernel,
        means: plain(scaling.means),
        deviations: plain(scaling.deviations),
        rows: n,
        table: plain(table.data),
        targets: plain(targets),
        mean,
        deviation,
        groups: plain(groups),
        ...(trend ? { trend: { unit: trend.unit, squared: plain(trend.squared), centres: plain(trend.centres) } } : {}),
        parameters: plain(parameters),
      }),
  };
}

function loadTrend(saved: unknown, features: number): Trend {
  const state = new SavedState('trend of a gaussian-process', saved);
  const squared = state.indices('squared', features);
  return { unit: state.number('unit', Number.MIN_VALUE), squared, centres: state.numbers('centres', squared.length) };
}

export function loadGaussianProcess(state: SavedState, features: number): GaussianProcessModel {
  const rows = state.integer('rows', 1);
  const parameters = state.numbers('parameters');
  const trend = state.get('trend') === undefined ? undefined : loadTrend(state.get('trend'), features);
  const least = trend ? 4 : 3;
  if (parameters.length < least) state.fail('parameters', `a list of at least ${least} numbers`);
  const saved: State = {
    kernel: state.oneOf('kernel', ['rbf', 'matern52']),
    scaling: { means: state.numbers('means', features), deviations: state.numbers('deviations', features) },
    table: { rows, columns: features, data: state.numbers('table', rows * features) },
    targets: state.numbers('targets', rows),
    mean: state.number('mean'),
    deviation: state.number('deviation', 0),
    groups: state.indices('groups', parameters.length - (least - 1), features),
    trend,
    parameters,
  };
  const factor = factorOf(saved);
  return factor ? modelOf(saved, factor) : state.fail('parameters', 'of a covariance that is positive definite');
}
