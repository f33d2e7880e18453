// k-fold splits.
import { Random } from '../core/random.ts';
import { PredictorError } from '../errors.ts';

/** One split: indices of the rows to fit on and of the rows to judge by, each ascending. */
export interface Fold {
  readonly train: Int32Array;
  readonly test: Int32Array;
}

export interface KFoldOptions {
  /** @defaultValue 5 */
  readonly folds?: number | undefined;
  /** Shuffles the rows. @defaultValue 0 */
  readonly seed?: number | undefined;
}

/**
 * Splits 0 … rows − 1 into folds: every row is tested once, fold sizes differ by one at most. `folds` = `rows` leaves one out.
 *
 * @throws PredictorError `invalid-option` unless 2 ≤ folds ≤ rows
 *
 * @example
 * ```ts
 * import { kFold } from '@instatune/predictors';
 *
 * const sizes = kFold(7, { folds: 3, seed: 1 }).map(({ test }) => test.length);
 * console.log(sizes); // => [ 3, 2, 2 ]
 * ```
 */
export function kFold(rows: number, { folds = 5, seed = 0 }: KFoldOptions = {}): readonly Fold[] {
  if (!Number.isInteger(folds) || folds < 2 || folds > rows) {
    throw new PredictorError(
      'invalid-option',
      `folds is ${folds} for ${rows} rows: use a whole number from 2 to ${rows}`,
      { folds, rows },
    );
  }
  const order = new Random(seed).permutation(rows);
  return Array.from({ length: folds }, (_, fold) => {
    const train: number[] = [];
    const test: number[] = [];
    order.forEach((row, place) => (place % folds === fold ? test : train).push(row));
    return { train: Int32Array.from(train).sort(), test: Int32Array.from(test).sort() };
  });
}
