// What every predictor here is: a regressor with its options, which fits models that never change.
import { PredictorError } from '../errors.ts';
import { tableOf, targetsOf, type Rows, type Table } from './table.ts';

/** Means and standard deviations, one per row, in the targets' unit. */
export interface Prediction {
  readonly mean: Float64Array;
  /** Of a new measurement: what the model does not know and the noise it saw, together. */
  readonly std: Float64Array;
}

/** The first layout of saved models. A reader of this package reads this number and no other. */
export const SAVE_VERSION = 1;

/** A model as plain JSON: {@link loadModel} makes it a model again. */
export interface SavedModel {
  readonly schema: 'instatune-model';
  readonly version: number;
  readonly kind: string;
  readonly features: number;
  readonly state: Readonly<Record<string, unknown>>;
}

/** A fitted predictor. Does not change, so one model can serve many callers. */
export interface Model {
  readonly kind: string;
  /** Columns of the rows it predicts from. */
  readonly features: number;
  /**
   * @throws PredictorError `invalid-data` where a row has another length or a number that is not finite, or is so far from the training rows
   * that its prediction overflows
   */
  predict(rows: Rows): Float64Array;
  /** @throws PredictorError `invalid-data`; `no-std` where the model was fitted without what a deviation needs */
  predictWithStd(rows: Rows): Prediction;
  /** Plain JSON from which {@link loadModel} makes a model with bit-equal predictions. */
  toJSON(): SavedModel;
}

export interface FitOptions {
  /** Whatever is random (folds, bootstraps, starts) follows from it. @defaultValue 0 */
  readonly seed?: number | undefined;
  /** Checked between steps of the fit. */
  readonly signal?: AbortSignal | undefined;
  /** Share of the fit that is done, 0 to 1, between steps. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** A fit in steps: yields the share done, returns the model. */
export type Steps<M extends Model = Model> = Generator<number, M, void>;

/** A method of fitting with its options. */
export interface Regressor<M extends Model = Model> {
  readonly kind: string;
  /**
   * @param rows n rows of d features
   * @param targets n numbers
   * @throws PredictorError `invalid-data`, `aborted`
   */
  fit(rows: Rows, targets: ArrayLike<number>, options?: FitOptions): M;
  /** The same model; hands control back to the event loop between steps, so that a signal can arrive. */
  fitAsync(rows: Rows, targets: ArrayLike<number>, options?: FitOptions): Promise<M>;
  /** The fit itself, for regressors made of others. */
  steps(table: Table, targets: Float64Array, seed: number): Steps<M>;
}

function check(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new PredictorError('aborted', 'fit aborted by its signal', {}, { cause: signal.reason });
}

function checkSeed(seed: number): number {
  if (!Number.isFinite(seed))
    throw new PredictorError('invalid-option', `seed is ${seed}: use a finite number`, { seed });
  return seed;
}

/**
 * A regressor from a fit in steps. Use it for a method of your own that `stacking` and `auto` should take.
 *
 * @example
 * ```ts
 * import { defineRegressor, type Model } from '@instatune/predictors';
 *
 * const mean = defineRegressor('mean', function* (table, targets): Generator<number, Model> {
 *   const value = targets.reduce((a, b) => a + b) / table.rows;
 *   return {
 *     kind: 'mean',
 *     features: table.columns,
 *     predict: (rows) => Float64Array.from(rows, () => value),
 *     predictWithStd: (rows) => ({ mean: Float64Array.from(rows, () => value), std: new Float64Array(rows.length) }),
 *     toJSON: () => ({ schema: 'instatune-model', version: 1, kind: 'mean', features: table.columns, state: { value } }),
 *   };
 * });
 * console.log(mean.fit([[0], [1]], [2, 4]).predict([[9]])[0]); // => 3
 * ```
 */
export function defineRegressor<M extends Model>(
  kind: string,
  steps: (table: Table, targets: Float64Array, seed: number) => Steps<M>,
): Regressor<M> {
  const start = (rows: Rows, targets: ArrayLike<number>, seed = 0): Steps<M> => {
    const table = tableOf(rows);
    return steps(table, targetsOf(targets, table.rows), checkSeed(seed));
  };
  return {
    kind,
    steps,
    fit(rows, targets, { seed, signal, onProgress } = {}) {
      check(signal);
      const fitting = start(rows, targets, seed);
      for (let step = fitting.next(); ; step = fitting.next()) {
        if (step.done) {
          onProgress?.(1);
          return step.value;
        }
        onProgress?.(step.value);
        check(signal);
      }
    },
    async fitAsync(rows, targets, { seed, signal, onProgress } = {}) {
      check(signal);
      const fitting = start(rows, targets, seed);
      for (let step = fitting.next(); ; step = fitting.next()) {
        if (step.done) {
          onProgress?.(1);
          return step.value;
        }
        onProgress?.(step.value);
        await new Promise<void>((resolve) => {
          setTimeout(resolve, 0);
        });
        check(signal);
      }
    },
  };
}

/** Runs a nested fit, its progress scaled into [from, to]. */
export function* within<T>(steps: Generator<number, T, void>, from: number, to: number): Generator<number, T, void> {
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    yield from + (to - from) * step.value;
  }
}
