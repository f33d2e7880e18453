// ε-support vector regression with an RBF or linear kernel; cost and width by cross-validation where several are given.
import { PredictorError } from '../errors.ts';
import { defineRegressor, type Model, type Regressor } from '../core/model.ts';
import { count, inRange, listOf, oneOf, positive } from '../core/options.ts';
import { plain, saveAs, type SavedState } from '../core/saved.ts';
import { robustRms, scaleTargetsRobustly, tameTargets } from '../core/robust.ts';
import { finite, scale, scaled, type Scaling } from '../core/scaling.ts';
import { tableOf, takeRows, takeValues, type Table } from '../core/table.ts';
import { dot } from '../linalg/cholesky.ts';
import { kFold, type Fold } from '../validation/k-fold.ts';
import { kernelBase, kernelBetween, kernelFromBase, scaleGamma, type SvrKernel } from './kernel.ts';
import { solveSvr, type SmoResult } from './smo.ts';

export interface SvrOptions {
  /** @defaultValue 'rbf' */
  readonly kernel?: SvrKernel | undefined;
  /** C, for targets of unit deviation (outliers clipped); of several, cross-validation picks. @defaultValue [1, 10, 100]; [0.1, 1] for `linear` */
  readonly cost?: number | readonly number[] | undefined;
  /** Half-width of the tube, in deviations of the targets. @defaultValue 0.02 */
  readonly epsilon?: number | undefined;
  /** Kernel width, and scale of `linear`: multiples of 1/(columns · variance); of several, cross-validation picks. @defaultValue [0.1, 0.3, 1] */
  readonly gamma?: number | readonly number[] | undefined;
  /** Columns to unit deviation first. @defaultValue true */
  readonly standardize?: boolean | undefined;
  /**
   * Folds that choose cost and width and give the deviation of `predictWithStd`. 0 for neither: then the first cost and width are used.
   * @defaultValue 4
   */
  readonly folds?: number | undefined;
  /** Violation of the optimality conditions at which the solver stops. @defaultValue 1e-3 */
  readonly tolerance?: number | undefined;
}

/** A fitted support vector regression. */
export interface SvrModel extends Model {
  readonly kind: 'svr';
  readonly cost: number;
  readonly gamma: number;
  readonly supportVectors: number;
  /** False where the solver ran out of iterations (badly scaled features or a vast cost). */
  readonly converged: boolean;
}

interface State {
  readonly kernel: SvrKernel;
  readonly scaling: Scaling;
  readonly support: Table;
  readonly beta: Float64Array;
  readonly bias: number;
  readonly mean: number;
  readonly deviation: number;
  readonly cost: number;
  readonly gamma: number;
  readonly converged: boolean;
  /** RMS of cross-validated residuals, outliers clipped, in the targets' unit. */
  readonly residual: number | undefined;
}

function modelOf(state: State): SvrModel {
  const { kernel, scaling, support, beta, bias, mean, deviation, cost, gamma, converged, residual } = state;
  const features = support.columns;
  const predict = (rows: Parameters<Model['predict']>[0]): Float64Array => {
    const table = scaled(tableOf(rows, features), scaling);
    const values = kernelBetween(kernel, table, support, gamma);
    return finite(
      Float64Array.from(
        { length: table.rows },
        (_, i) => mean + deviation * (bias + dot(values, i * support.rows, beta, 0, support.rows)),
      ),
    );
  };
  return {
    kind: 'svr',
    features,
    cost,
    gamma,
    supportVectors: support.rows,
    converged,
    predict,
    predictWithStd(rows) {
      if (residual === undefined) {
        throw new PredictorError(
          'no-std',
          'this SVR was fitted with folds 0, or on fewer than 4 rows: fit with folds of at least 2 to predict deviations',
        );
      }
      const values = predict(rows);
      return { mean: values, std: new Float64Array(values.length).fill(residual) };
    },
    toJSON: () =>
      saveAs('svr', features, {
        kernel,
        means: plain(scaling.means),
        deviations: plain(scaling.deviations),
        support: plain(support.data),
        beta: plain(beta),
        bias,
        mean,
        deviation,
        cost,
        gamma,
        converged,
        ...(residual === undefined ? {} : { residual }),
      }),
  };
}

/** Cross-validated error of one setting, in deviations of the targets: the root of the mean square, outliers clipped. */
function foldError(
  kernelMatrix: Float64Array,
  targets: Float64Array,
  folds: readonly Fold[],
  solve: (kernel: Float64Array, y: Float64Array) => SmoResult,
): number {
  const n = targets.length;
  const residuals = new Float64Array(n);
  for (const { train, test } of folds) {
    const size = train.length;
    const part = new Float64Array(size * size);
    for (let a = 0; a < size; a++)
      for (let b = 0; b < size; b++) part[a * size + b] = kernelMatrix[train[a]! * n + train[b]!]!;
    const { beta, bias } = solve(part, takeValues(targets, train));
    for (const i of test) {
      let value = bias;
      for (let a = 0; a < size; a++) value += beta[a]! * kernelMatrix[i * n + train[a]!]!;
      residuals[i] = value - targets[i]!;
    }
  }
  return robustRms(residuals);
}

/**
 * ε-support vector regression. The kernel matrix is kept whole: n² numbers.
 *
 * One row can do little, however far its target is from the others: its weight is bounded by the cost, the unit of cost and tube is the
 * deviation of targets clipped at five deviations by their median absolute deviation, and so are the errors that choose the setting and
 * give the deviation of `predictWithStd`.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { svr } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 40 }, (_, i) => [i / 40]);
 * const model = svr().fit(rows, rows.map(([x]) => Math.sin(6 * x)));
 * console.log(Math.abs(model.predict([[0.5]])[0] - Math.sin(3)) < 0.05); // => true
 * ```
 */
export function svr(options: SvrOptions = {}): Regressor<SvrModel> {
  const {
    kernel = 'rbf',
    cost = kernel === 'linear' ? [0.1, 1] : [1, 10, 100],
    epsilon = 0.02,
    gamma = [0.1, 0.3, 1],
    standardize = true,
    folds = 4,
    tolerance = 1e-3,
  } = options;
  oneOf('kernel', kernel, ['rbf', 'linear']);
  const costs = listOf('cost', cost).map((value) => positive('cost', value));
  const gammas = kernel === 'linear' ? [1] : listOf('gamma', gamma).map((value) => positive('gamma', value));
  inRange('epsilon', epsilon, 0);
  positive('tolerance', tolerance);
  if (folds !== 0) count('folds', folds, 2);
  return defineRegressor('svr', function* (rows, rawTargets, seed) {
    const scaling = scale(rows, standardize);
    const { table } = scaling;
    const { values: targets, mean, deviation } = scaleTargetsRobustly(tameTargets(rawTargets));
    const n = table.rows;
    const base = kernelBase(kernel, table);
    const unit = scaleGamma(table);
    const splits = folds === 0 || n < 4 ? [] : kFold(n, { folds: Math.min(folds, n), seed });
    const solver = (value: number) => (matrix: Float64Array, y: Float64Array) =>
      solveSvr(matrix, y, { cost: value, epsilon, tolerance, maxIterations: Math.max(10_000, 100 * y.length) });
    let best = {
      cost: costs[0]!,
      gamma: gammas[0]! * unit,
      error: Infinity,
      matrix: undefined as Float64Array | undefined,
    };
    if (splits.length > 0) {
      let done = 0;
      for (const multiple of gammas) {
        const matrix = kernelFromBase(kernel, base, multiple * unit);
        for (const value of costs) {
          const error = foldError(matrix, targets, splits, solver(value));
          if (error < best.error) best = { cost: value, gamma: multiple * unit, error, matrix };
          yield ++done / (gammas.length * costs.length + 1);
        }
      }
    }
    const matrix = best.matrix ?? kernelFromBase(kernel, base, best.gamma);
    const { beta, bias, converged } = solver(best.cost)(matrix, targets);
    const support = Array.from(beta.keys()).filter((i) => beta[i] !== 0);
    return modelOf({
      kernel,
      scaling,
      support: takeRows(table, support),
      beta: takeValues(beta, support),
      bias,
      mean,
      deviation,
      cost: best.cost,
      gamma: best.gamma,
      converged,
      residual: Number.isFinite(best.error) ? deviation * best.error : undefined,
    });
  });
}

export function loadSvr(state: SavedState, features: number): SvrModel {
  const beta = state.numbers('beta');
  return modelOf({
    kernel: state.oneOf('kernel', ['rbf', 'linear']),
    scaling: { means: state.numbers('means', features), deviations: state.numbers('deviations', features) },
    support: { rows: beta.length, columns: features, data: state.numbers('support', beta.length * features) },
    beta,
    bias: state.number('bias'),
    mean: state.number('mean'),
    deviation: state.number('deviation', 0),
    cost: state.number('cost', 0),
    gamma: state.number('gamma', 0),
    converged: state.boolean('converged'),
    residual: state.optionalNumber('residual', 0),
  });
}
