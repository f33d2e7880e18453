// Gaussian process regression with automatic relevance determination; hyperparameters by marginal likelihood, analytic gradients.
import { PredictorError } from '../errors.ts';
import { defineRegressor, within, type Regressor } from '../core/model.ts';
import { count, oneOf, positive } from '../core/options.ts';
import { Random } from '../core/random.ts';
import { tameTargets } from '../core/robust.ts';
import { scale, scaleTargets } from '../core/scaling.ts';
import { takeRows, takeValues } from '../core/table.ts';
import { groupsOf, learn } from './learn.ts';
import type { GpKernel } from './likelihood.ts';
import { factorOf, modelOf, type GaussianProcessModel } from './posterior.ts';
import { gramOf, trendColumns, trendOf } from './trend.ts';

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
  /**
   * A linear and quadratic trend of the columns beside the smooth process, as far as the likelihood sees one: known far from the rows, too.
   * @defaultValue false
   */
  readonly trend?: boolean | undefined;
  /** Columns to unit deviation first. @defaultValue true */
  readonly standardize?: boolean | undefined;
  /** Hyperparameters are learnt on at most so many rows, drawn at random; the model is then of all rows. @defaultValue 160 */
  readonly likelihoodRows?: number | undefined;
  /** Evaluations of the likelihood, for the common scale and for the single ones each. @defaultValue 30 */
  readonly maxEvaluations?: number | undefined;
}

/** Log variance of the noise, above any signal: with it every finite covariance factors. */
const MOST_NOISE = 40;

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
    trend: hasTrend = false,
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
    const trend = hasTrend ? trendOf(table, standardize ? 1 : unit) : undefined;
    const gram = trend && gramOf(trendColumns(part.table, trend));
    const slope = trend ? [0] : [];
    const common = yield* within(
      learn(
        { kernel, ...part, groups: new Int32Array(d), groupCount: 1, trend: gram },
        Float64Array.of(1, Math.log(0.01), Math.log(spread), ...slope),
        maxEvaluations,
        undefined,
        unit,
      ),
      0,
      groupCount > 1 ? 0.4 : 0.9,
    );
    let parameters = common;
    if (groupCount > 1) {
      const lengths = Array.from({ length: groupCount }, () => common[2]!);
      const start = Float64Array.of(common[0]!, common[1]!, ...lengths, ...common.subarray(3));
      parameters = yield* within(
        learn(
          { kernel, ...part, groups, groupCount, trend: gram },
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
      const state = { kernel, scaling, table, targets, mean, deviation, groups, trend, parameters };
      const factor = factorOf(state);
      if (factor) return modelOf(state, factor);
      if (parameters[1]! > MOST_NOISE) {
        throw new PredictorError(
          'invalid-data',
          'rows are so far apart that distances in length scales overflow: leave standardize on, or divide the features by a constant',
          { lengths: parameters.slice(2, 2 + groupCount) },
        );
      }
      parameters = parameters.map((value, k) => (k === 1 ? value + Math.LN10 : value));
    }
  });
}
