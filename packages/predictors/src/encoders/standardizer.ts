// Columns to mean 0 and deviation 1, learnt from rows.
import { PredictorError } from '../errors.ts';
import { plain, SavedState } from '../core/saved.ts';
import { scale, type Scaling } from '../core/scaling.ts';
import { tableOf, type Rows } from '../core/table.ts';

export interface SavedStandardizer {
  readonly schema: 'instatune-standardizer';
  readonly version: number;
  readonly means: readonly number[];
  readonly deviations: readonly number[];
}

/** Means and deviations of training rows, applied to any rows. */
export interface Standardizer {
  readonly width: number;
  readonly means: Float64Array;
  /** 1 for columns that do not vary, but for rounding. */
  readonly deviations: Float64Array;
  /** @throws PredictorError `invalid-data` */
  encodeAll(rows: Rows): Float64Array[];
  toJSON(): SavedStandardizer;
}

const VERSION = 1;

function standardizerOf({ means, deviations }: Scaling): Standardizer {
  const width = means.length;
  return {
    width,
    means,
    deviations,
    encodeAll(rows) {
      const { data } = tableOf(rows, width);
      return rows.map((_, i) =>
        data.slice(i * width, (i + 1) * width).map((value, k) => (value - means[k]!) / deviations[k]!),
      );
    },
    toJSON: () => ({
      schema: 'instatune-standardizer',
      version: VERSION,
      means: plain(means),
      deviations: plain(deviations),
    }),
  };
}

/**
 * Learns means and (population) deviations. The predictors here do this themselves unless `standardize` is false.
 *
 * @throws PredictorError `invalid-data` without rows
 *
 * @example
 * ```ts
 * import { fitStandardizer } from '@instatune/predictors';
 *
 * console.log(Array.from(fitStandardizer([[0, 5], [2, 5]]).encodeAll([[4, 6]])[0])); // => [ 3, 1 ]
 * ```
 */
export function fitStandardizer(rows: Rows): Standardizer {
  if (rows.length === 0)
    throw new PredictorError('invalid-data', 'no rows to learn means and deviations from: give at least one', {});
  const { means, deviations, constant } = scale(tableOf(rows), true);
  return standardizerOf({ means, deviations: deviations.map((value, k) => (constant[k] ? 1 : value)) });
}

/** @throws PredictorError `invalid-state`, `unsupported-version` */
export function loadStandardizer(saved: unknown): Standardizer {
  const state = new SavedState('standardizer', saved).header('instatune-standardizer', VERSION);
  const means = state.numbers('means');
  const deviations = state.numbers('deviations', means.length);
  if (deviations.some((value) => !(value > 0))) state.fail('deviations', 'a list of numbers greater than 0');
  return standardizerOf({ means, deviations });
}
