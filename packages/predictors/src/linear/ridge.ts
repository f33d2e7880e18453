// Ridge regression; the penalty by closed-form leave-one-out (Hastie, Tibshirani & Friedman 2009, §3.4 and eq. 7.64).
import { defineRegressor, type Model, type Regressor } from '../core/model.ts';
import { listOf, positive } from '../core/options.ts';
import { plain, saveAs, SavedState } from '../core/saved.ts';
import { oneRow } from '../core/one-row.ts';
import { tameTargets } from '../core/robust.ts';
import { finite, scale, scaled, scaleTargets, type Scaling } from '../core/scaling.ts';
import { tableOf, type Rows, type Table } from '../core/table.ts';
import { dot } from '../linalg/cholesky.ts';
import { basisOf, leaveOneOut, type Basis } from './basis.ts';

export interface RidgeOptions {
  /**
   * λ of Σ(y − ŷ)² + λ‖w‖², the intercept not penalised: one, or several of which leave-one-out picks.
   * @defaultValue leave-one-out over 10⁻⁵ … 10³ times the mean eigenvalue of XᵀX, refined between the grid's points
   */
  readonly penalty?: number | readonly number[] | undefined;
  /** Columns to unit deviation first. @defaultValue true */
  readonly standardize?: boolean | undefined;
}

/** A fitted ridge regression. */
export interface RidgeModel extends Model {
  readonly kind: 'ridge';
  /** On the features as given: prediction = intercept + Σ weights·row. */
  readonly weights: Float64Array;
  readonly intercept: number;
  readonly penalty: number;
  /** Of leave-one-out residuals, in the targets' unit. NaN for a single row. */
  readonly looRmse: number;
}

/** Powers of ten around the mean eigenvalue, by halves. */
const GRID = Array.from({ length: 17 }, (_, i) => 10 ** (i / 2 - 5));
const GOLDEN = (Math.sqrt(5) - 1) / 2;

function choosePenalty(basis: Basis, targets: Float64Array, penalty: RidgeOptions['penalty']): number {
  if (typeof penalty === 'number') return penalty;
  const error = (value: number): number =>
    leaveOneOut(basis, targets, value).residuals.reduce((sum, e) => sum + e * e, 0);
  const mean = basis.squares.reduce((a, b) => a + b, 0) / Math.max(1, basis.rank) || 1;
  const grid = penalty ?? GRID.map((power) => power * mean);
  const errors = grid.map(error);
  const best = errors.indexOf(Math.min(...errors));
  if (penalty || best < 0) return grid[Math.max(0, best)]!;
  // Golden-section search on log λ between the neighbours of the grid's best.
  let low = Math.log(grid[Math.max(0, best - 1)]!);
  let high = Math.log(grid[Math.min(grid.length - 1, best + 1)]!);
  for (let step = 0; step < 12; step++) {
    const left = high - GOLDEN * (high - low);
    const right = low + GOLDEN * (high - low);
    if (error(Math.exp(left)) < error(Math.exp(right))) high = right;
    else low = left;
  }
  const refined = Math.exp((low + high) / 2);
  return error(refined) < errors[best]! ? refined : grid[best]!;
}

interface State {
  readonly scaling: Scaling;
  /** On scaled features and in the targets' unit. */
  readonly coefficients: Float64Array;
  readonly mean: number;
  readonly penalty: number;
  readonly looRmse: number;
  /** Noise variance in squares of `unit` (which would vanish in small units), rows, eigenvalues and eigenvectors: for deviations. */
  readonly noise: number;
  readonly unit: number;
  readonly count: number;
  readonly squares: Float64Array;
  readonly vectors: Float64Array;
}

function modelOf(state: State): RidgeModel {
  const { scaling, coefficients, mean, penalty, noise, unit, count, squares, vectors } = state;
  const { means, deviations } = scaling;
  const features = coefficients.length;
  const weights = coefficients.map((value, k) => value / deviations[k]!);
  const intercept = mean - weights.reduce((sum, weight, k) => sum + weight * means[k]!, 0);
  const predictTable = ({ rows, data }: Table): Float64Array =>
    finite(Float64Array.from({ length: rows }, (_, i) => intercept + dot(data, i * features, weights, 0, features)));
  return {
    kind: 'ridge',
    features,
    weights,
    intercept,
    penalty,
    looRmse: state.looRmse,
    predict: (rows) => predictTable(tableOf(rows, features)),
    predictWithStd(rows: Rows) {
      const table = tableOf(rows, features);
      if (count < 2) throw oneRow('ridge regression');
      const { data } = scaled(table, scaling);
      // Posterior of a Gaussian prior with precision λ/σ²: σ²(1 + 1/n + xᵀ(XᵀX + λ)⁻¹x).
      const std = Float64Array.from({ length: table.rows }, (_, i) => {
        let rest = dot(data, i * features, data, i * features, features);
        let quadratic = 0;
        for (let r = 0; r < squares.length; r++) {
          const score = dot(data, i * features, vectors, r * features, features) ** 2;
          quadratic += score / (squares[r]! + penalty);
          rest -= score;
        }
        if (penalty > 0) quadratic += Math.max(0, rest) / penalty;
        return unit * Math.sqrt(noise) * Math.sqrt(1 + 1 / count + quadratic);
      });
      return { mean: predictTable(table), std: finite(std) };
    },
    toJSON: () =>
      saveAs('ridge', features, {
        means: plain(means),
        deviations: plain(deviations),
        coefficients: plain(coefficients),
        mean,
        penalty,
        ...(Number.isFinite(state.looRmse) ? { looRmse: state.looRmse } : {}),
        noise,
        unit,
        count,
        squares: plain(squares),
        vectors: plain(vectors),
      }),
  };
}

/**
 * Ridge regression. The penalty is chosen by leave-one-out in closed form: one eigendecomposition of the smaller Gram matrix, then n·min(n, d) a penalty.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { ridge } from '@instatune/predictors';
 *
 * const model = ridge({ penalty: 1e-9 }).fit([[0], [1], [2]], [1, 3, 5]);
 * console.log(Math.round(1e6 * model.predict([[10]])[0]) / 1e6); // => 21
 * ```
 */
export function ridge(options: RidgeOptions = {}): Regressor<RidgeModel> {
  const { penalty, standardize = true } = options;
  if (penalty !== undefined) for (const value of listOf('penalty', penalty)) positive('penalty', value);
  return defineRegressor('ridge', function* (table, targets) {
    const scaling = scale(table, standardize);
    const basis = basisOf(scaling.table);
    yield 0.5;
    const { rows: n, columns: d } = table;
    const { mean, deviation, values: unit } = scaleTargets(tameTargets(targets));
    const chosen = choosePenalty(basis, unit, penalty);
    const { residuals, leverages } = leaveOneOut(basis, unit, chosen);
    const { rank, squares, scores, vectors } = basis;
    const coefficients = new Float64Array(d);
    for (let r = 0; r < rank; r++) {
      let projection = 0;
      for (let i = 0; i < n; i++) projection += scores[i * rank + r]! * unit[i]!;
      const factor = (deviation * projection) / (squares[r]! + chosen);
      for (let k = 0; k < d; k++) coefficients[k]! += factor * vectors[r * d + k]!;
    }
    return modelOf({
      scaling,
      coefficients,
      mean,
      penalty: chosen,
      looRmse: n > 1 ? deviation * Math.sqrt(residuals.reduce((sum, e) => sum + e * e, 0) / n) : NaN,
      noise: n > 1 ? residuals.reduce((sum, e, i) => sum + e * e * Math.max(0, 1 - leverages[i]!), 0) / n : 0,
      unit: deviation,
      count: n,
      squares,
      vectors,
    });
  });
}

export function loadRidge(state: SavedState, features: number): RidgeModel {
  const squares = state.numbers('squares');
  return modelOf({
    scaling: { means: state.numbers('means', features), deviations: state.numbers('deviations', features) },
    coefficients: state.numbers('coefficients', features),
    mean: state.number('mean'),
    penalty: state.number('penalty', 0),
    looRmse: state.optionalNumber('looRmse', 0) ?? NaN,
    noise: state.number('noise', 0),
    unit: state.optionalNumber('unit', 0) ?? 1,
    count: state.integer('count', 1),
    squares,
    vectors: state.numbers('vectors', squares.length * features),
  });
}
