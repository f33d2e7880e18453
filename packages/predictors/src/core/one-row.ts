// What a model of a single row cannot say.
import { PredictorError } from '../errors.ts';

/** One row says nothing of how far others are from it: no deviation is better than one that is made up. */
export function oneRow(model: string): PredictorError {
  return new PredictorError(
    'no-std',
    `this ${model} was fitted on one row, which says nothing of how far others are from it: fit at least two to predict deviations`,
    { rows: 1 },
  );
}
