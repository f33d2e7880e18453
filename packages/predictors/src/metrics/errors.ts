// How far predictions are off.
import { PredictorError } from '../errors.ts';

/** @throws PredictorError `invalid-data` unless both have the same length, at least `least` */
export function checkPairs(predicted: ArrayLike<number>, actual: ArrayLike<number>, least: number = 1): number {
  if (predicted.length !== actual.length || actual.length < least) {
    throw new PredictorError(
      'invalid-data',
      `${predicted.length} predictions for ${actual.length} values: give one each, and at least ${least}`,
      {
        predicted: predicted.length,
        actual: actual.length,
      },
    );
  }
  return actual.length;
}

/**
 * Mean absolute percentage error, in percent of the actual values.
 *
 * @throws PredictorError `invalid-data` where an actual value is 0
 *
 * @example
 * ```ts
 * import { mape } from '@instatune/predictors';
 *
 * console.log(mape([11, 18], [10, 20])); // => 10
 * ```
 */
export function mape(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const n = checkPairs(predicted, actual);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    if (actual[i] === 0)
      throw new PredictorError('invalid-data', `actual value ${i} is 0: a percentage of it means nothing, use rmse`, {
        index: i,
      });
    sum += Math.abs((predicted[i]! - actual[i]!) / actual[i]!);
  }
  return (100 * sum) / n;
}

/** Root of the mean squared error. */
export function rmse(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const n = checkPairs(predicted, actual);
  // In units of the largest error, whose square neither overflows nor vanishes.
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(predicted[i]! - actual[i]!));
  if (!(largest > 0 && largest < Infinity)) return largest;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += ((predicted[i]! - actual[i]!) / largest) ** 2;
  return largest * Math.sqrt(sum / n);
}
