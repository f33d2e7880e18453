// Checks of options: what is refused, is refused with its name, value and range.
import { PredictorError } from '../errors.ts';

/** @throws PredictorError `invalid-option` unless `value` is a finite number in [lower, upper] */
export function inRange(name: string, value: number, lower: number, upper: number = Infinity): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < lower || value > upper) {
    const range = upper === Infinity ? `of at least ${lower}` : `from ${lower} to ${upper}`;
    throw new PredictorError('invalid-option', `${name} is ${String(value)}: use a number ${range}`, {
      [name]: value,
      lower,
      upper,
    });
  }
  return value;
}

/** @throws PredictorError `invalid-option` unless `value` is greater than 0 and finite */
export function positive(name: string, value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) {
    throw new PredictorError('invalid-option', `${name} is ${value}: use a number greater than 0`, { [name]: value });
  }
  return value;
}

/** @throws PredictorError `invalid-option` unless `value` is a whole number of at least `lower` */
export function count(name: string, value: number, lower: number = 1): number {
  if (!Number.isInteger(value) || value < lower) {
    throw new PredictorError('invalid-option', `${name} is ${value}: use a whole number of at least ${lower}`, {
      [name]: value,
    });
  }
  return value;
}

/** @throws PredictorError `invalid-option` unless `value` is one of `choices` */
export function oneOf<T extends string>(name: string, value: T, choices: readonly T[]): T {
  if (!choices.includes(value)) {
    throw new PredictorError(
      'invalid-option',
      `${name} is ${JSON.stringify(value)}: use one of ${choices.join(', ')}`,
      {
        [name]: value,
        choices,
      },
    );
  }
  return value;
}

/** One value or several, as a list that is not empty. */
export function listOf(name: string, value: number | readonly number[]): readonly number[] {
  const list = typeof value === 'number' ? [value] : value;
  if (list.length === 0)
    throw new PredictorError('invalid-option', `${name} is an empty list: give at least one value`, { [name]: value });
  return list;
}
