// Gaussian process regression with automatic relevance determination; hyperparameters by marginal likelihood, analytic gradients.
import { PredictorError } from '../errors.ts';
import { defineRegressor, within, type Model, type Regressor } from '../core/model.ts';
import { oneRow } from '../core/one-row.ts';
import { count, oneOf, positive } from '../core/options.ts';
import { Random } from '../core/random.ts';
import { tameTargets } from '../core/robust.ts';
import { plain, saveAs, type SavedState } from '../core/saved.ts';
import { finite, scale, scaled, scaleTargets, type Scaling } from '../core/scaling.ts';
import { tableOf, takeRows, takeValues, type Rows, type Table } from '../core/table.ts';
import { dot, factorize, solveLower, solveUpper } from '../linalg/cholesky.ts';
import { groupsOf, learn } from './learn.ts';
import { byLengths, correlation, covariance, inverseSquares, type GpKernel } from './likelihood.ts';

export interface GaussianProcessOptions {
  /** @defaultValue 'rbf' */
  readonly kernel?: GpKernel | undefined;
  /**
   * Length scales: `false` one for all columns, `true` one a column, or the group of each column (an encoder's `groups`: one a gene).
   * @defaultValue true
   */
  readonly ard?: boolean | readonly number[] | undefined;
  /**
   * How far (deviation of log ℓ) single length scales may leave the common one: a normal prior, without which many scales fit the noise of few rows.
   * @defaultValue 1
   */
  readonly ardSpread?: number | undefined;
  /** Columns to unit deviation first. @defaultValue true */
  readonly standardize?: boolean | undefined;
  /** Hyperparameters are learnt on at most so many rows, drawn at random; the model is then of all rows. @defaultValue 160 */
  readonly likelihoodRows?: number | undefined;
  /** Evaluations of the likelihood, for the common scale and for the single ones each. @defaultValue 30 */
  readonly maxEvaluations?: number | undefined;
}

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

interface State {
  readonly kernel: GpKernel;
  readonly scaling: Scaling;
  /** Scaled features and targets of all rows. */
  readonly table: Table;
  readonly targets: Float64Array;
  readonly mean: number;
  readonly deviation: number;
  readonly groups: Int32Array;
  readonly parameters: Float64Array;
}

/** Log variance of the noise, above any signal: with it every finite covariance factors. */
const MOST_NOISE = 40;

/** Rows predicted at once. */
const BLOCK = 256;

/** The Cholesky factor of all rows' covariance; undefined where it is not numerically positive definite. */
function factorOf({ kernel, table, targets, groups, parameters }: State): Float64Array | undefined {
  const { matrix } = covariance({ kernel, table, targets, groups, groupCount: parameters.length - 2 }, parameters);
  return factorize(matrix, table.rows) ? matrix : undefined;
}

function modelOf(state: State, factor: Float64Array): GaussianProcessModel {
  const { kernel, scaling, table, targets, mean, deviation, groups, parameters } = state;
  const { rows: n, columns: d } = table;
  const alpha = solveUpper(factor, n, solveLower(factor, n, Float64Array.from(targets)));
  const weights = inverseSquares({ groups }, parameters);
  const training = byLengths(table, weights);
  const norms = Float64Array.from({ length: n }, (_, i) => dot(training.data, i * d, training.data, i * d, d));
  const amplitude = Math.exp(parameters[0]!);
  const noise = Math.exp(parameters[1]!);

  /** Covariances of a row with all training rows, into `into`. */
  const crossInto = (row: Float64Array, from: number, into: Float64Array): void => {
    const norm = dot(row, from, row, from, d);
    for (let i = 0; i < n; i++) {
      const q = Math.max(0, norms[i]! + norm - 2 * dot(training.data, i * d, row, from, d));
      into[i] = amplitude * correlation(kernel, q);
    }
  };
  const each = (rows: Rows, visit: (index: number, cross: Float64Array) => void): void => {
    const cross = new Float64Array(n);
    for (let start = 0; start < rows.length; start += BLOCK) {
      const block = byLengths(scaled(tableOf(rows.slice(start, start + BLOCK), d), scaling), weights);
      for (let i = 0; i < block.rows; i++) {
        crossInto(block.data, i * d, cross);
        visit(start + i, cross);
      }
    }
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
    predict(rows) {
      const values = new Float64Array(rows.length);
      each(rows, (i, cross) => {
        values[i] = mean + deviation * dot(cross, 0, alpha, 0, n);
      });
      return finite(values);
    },
    predictWithStd(rows) {
      if (n < 2) throw oneRow('Gaussian process');
      const values = new Float64Array(rows.length);
      const std = new Float64Array(rows.length);
      each(rows, (i, cross) => {
        values[i] = mean + deviation * dot(cross, 0, alpha, 0, n);
        solveLower(factor, n, cross);
        std[i] = deviation * Math.sqrt(Math.max(0, amplitude - dot(cross, 0, cross, 0, n)) + noise);
      });
      return { mean: finite(values), std: finite(std) };
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
        parameters: plain(parameters),
      }),
  };
}

/**
 * Gaussian process regression with a constant mean. First one common length scale, then, from there, one a column or group.
 * A likelihood evaluation is m³/2 + m²·d/2 multiply-adds for m = `likelihoodRows`; the final factor n³/6; a prediction n·d, its deviation n²/2 more.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { gaussianProcess } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 30 }, (_, i) => [i / 30]);
 * const model = gaussianProcess().fit(rows, rows.map(([x]) => Math.sin(6 * x)));
 * const { mean, std } = model.predictWithStd([[0.5], [3]]);
 * console.log(Math.abs(mean[0] - Math.sin(3)) < 0.01 && std[1] > 10 * std[0]); // => true
 * ```
 */
export function gaussianProcess(options: GaussianProcessOptions = {}): Regressor<GaussianProcessModel> {
  const {
    kernel = 'rbf',
    ard = true,
    ardSpread = 1,
    standardize = true,
    likelihoodRows = 160,
    maxEvaluations = 30,
  } = options;
  oneOf('kernel', kernel, ['rbf', 'matern52']);
  positive('ardSpread', ardSpread);
  count('likelihoodRows', likelihoodRows, 2);
  count('maxEvaluations', maxEvaluations);
  return defineRegressor('gaussian-process', function* (rows, rawTargets, seed) {
    const { columns: d } = rows;
    const { groups, groupCount } = groupsOf(ard, d);
    const scaling = scale(rows, standardize);
    const { table } = scaling;
    const { values: targets, mean, deviation } = scaleTargets(tameTargets(rawTargets));
    const chosen =
      table.rows <= likelihoodRows
        ? undefined
        : new Random(seed).permutation(table.rows).subarray(0, likelihoodRows).sort();
    const part = chosen ? { table: takeRows(table, chosen), targets: takeValues(targets, chosen) } : { table, targets };
    // Rows are √(2·Σ variance) apart on average; a length of that order is where every smooth process is.
    const spread = Math.sqrt((2 * part.table.data.reduce((sum, x) => sum + x * x, 0)) / part.table.rows) || 1;
    // The bounds of the length scales are for columns of unit deviation; columns that are left as they are have another unit.
    const varying = scaling.constant.reduce((sum, flag) => sum + 1 - flag, 0);
    const unit = standardize ? 1 : spread / Math.sqrt(2 * Math.max(1, varying));
    const common = yield* within(
      learn(
        { kernel, ...part, groups: new Int32Array(d), groupCount: 1 },
        Float64Array.of(1, Math.log(0.01), Math.log(spread)),
        maxEvaluations,
        undefined,
        unit,
      ),
      0,
      groupCount > 1 ? 0.4 : 0.9,
    );
    let parameters = common;
    if (groupCount > 1) {
      const start = new Float64Array(2 + groupCount).fill(common[2]!);
      start[0] = common[0]!;
      start[1] = common[1]!;
      parameters = yield* within(
        learn(
          { kernel, ...part, groups, groupCount },
          start,
          maxEvaluations,
          { centre: common[2]!, spread: ardSpread },
          unit,
        ),
        0.4,
        0.9,
      );
    }
    // Repeated rows make all rows' covariance worse than the sample's: more noise until it factors.
    for (;;) {
      const state = { kernel, scaling, table, targets, mean, deviation, groups, parameters };
      const factor = factorOf(state);
      if (factor) return modelOf(state, factor);
      if (parameters[1]! > MOST_NOISE) {
        throw new PredictorError(
          'invalid-data',
          'rows are so far apart that distances in length scales overflow: leave standardize on, or divide the features by a constant',
          { lengths: parameters.slice(2) },
        );
      }
      parameters = parameters.map((value, k) => (k === 1 ? value + Math.LN10 : value));
    }
  });
}

export function loadGaussianProcess(state: SavedState, features: number): GaussianProcessModel {
  const rows = state.integer('rows', 1);
  const parameters = state.numbers('parameters');
  if (parameters.length < 3) state.fail('parameters', 'a list of at least 3 numbers');
  const saved: State = {
    kernel: state.oneOf('kernel', ['rbf', 'matern52']),
    scaling: { means: state.numbers('means', features), deviations: state.numbers('deviations', features) },
    table: { rows, columns: features, data: state.numbers('table', rows * features) },
    targets: state.numbers('targets', rows),
    mean: state.number('mean'),
    deviation: state.number('deviation', 0),
    groups: state.indices('groups', parameters.length - 2, features),
    parameters,
  };
  const factor = factorOf(saved);
  return factor ? modelOf(saved, factor) : state.fail('parameters', 'of a covariance that is positive definite');
}
