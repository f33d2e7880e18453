// Predictions of rows a model has not seen, fold by fold.
import { PredictorError } from '../errors.ts';
import { within, type FitOptions, type Regressor } from '../core/model.ts';
import { tableOf, takeRows, takeValues, targetsOf, type Rows, type Table } from '../core/table.ts';
import { mape, rmse } from '../metrics/errors.ts';
import { kendallTau, spearman } from '../metrics/ranks.ts';
import { kFold, type Fold } from './k-fold.ts';

export interface CrossValidation {
  /** Of each row, by the model that was fitted without it. */
  readonly predicted: Float64Array;
  readonly rmse: number;
  /** Percent; NaN where a target is 0. */
  readonly mape: number;
  readonly kendallTau: number;
  readonly spearman: number;
}

export interface CrossValidateOptions extends FitOptions {
  /** @defaultValue 5 */
  readonly folds?: number | undefined;
}

/** Rows of a table, as views. */
export function rowsOf({ rows, columns, data }: Table): Float64Array[] {
  return Array.from({ length: rows }, (_, i) => data.subarray(i * columns, (i + 1) * columns));
}

/** Out-of-fold predictions; the seed of a fold's fit is `seed` plus the fold. */
export function* outOfFold(
  regressor: Regressor,
  table: Table,
  targets: Float64Array,
  folds: readonly Fold[],
  seed: number,
): Generator<number, Float64Array, void> {
  const predicted = new Float64Array(table.rows);
  for (const [index, { train, test }] of folds.entries()) {
    const fit = regressor.steps(takeRows(table, train), takeValues(targets, train), seed + index);
    const model = yield* within(fit, index / folds.length, (index + 1) / folds.length);
    const values = model.predict(rowsOf(takeRows(table, test)));
    test.forEach((row, i) => {
      predicted[row] = values[i]!;
    });
    yield (index + 1) / folds.length;
  }
  return predicted;
}

/**
 * k-fold cross-validation of a regressor.
 *
 * @throws PredictorError `invalid-data`, `invalid-option`, `aborted`
 *
 * @example
 * ```ts
 * import { crossValidate, ridge } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 50 }, (_, i) => [i, i % 7]);
 * const { kendallTau } = crossValidate(ridge(), rows, rows.map(([a, b]) => 2 * a - b), { folds: 5, seed: 1 });
 * console.log(kendallTau > 0.99); // => true
 * ```
 */
export function crossValidate(
  regressor: Regressor,
  rows: Rows,
  targets: ArrayLike<number>,
  options: CrossValidateOptions = {},
): CrossValidation {
  const { folds = 5, seed = 0, signal, onProgress } = options;
  const table = tableOf(rows);
  const wanted = targetsOf(targets, table.rows);
  const steps = outOfFold(regressor, table, wanted, kFold(table.rows, { folds, seed }), seed);
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) {
      const predicted = step.value;
      return {
        predicted,
        rmse: rmse(predicted, wanted),
        mape: wanted.includes(0) ? NaN : mape(predicted, wanted),
        kendallTau: kendallTau(predicted, wanted),
        spearman: spearman(predicted, wanted),
      };
    }
    onProgress?.(step.value);
    if (signal?.aborted)
      throw new PredictorError('aborted', 'cross-validation aborted by its signal', {}, { cause: signal.reason });
  }
}
