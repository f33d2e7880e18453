// Checks of operator options.
import { Nsga2Error } from '../errors.ts';

/** The value, if it is in [0, 1]. */
export function probability(name: string, value: number): number {
  if (!(value >= 0 && value <= 1)) {
    throw new Nsga2Error('invalid-option', `${name} is ${value}: needs a number in [0, 1]`, { name, value });
  }
  return value;
}

/** The value, if it is finite and positive. */
export function positive(name: string, value: number): number {
  if (!(value > 0 && value < Infinity)) {
    throw new Nsga2Error('invalid-option', `${name} is ${value}: needs a positive number`, { name, value });
  }
  return value;
}

/** The value, if it is a whole number of at least `least`. */
export function count(name: string, value: number, least: number = 1): number {
  if (!Number.isInteger(value) || value < least) {
    throw new Nsga2Error('invalid-option', `${name} is ${value}: needs a whole number of at least ${least}`, {
      name,
      value,
    });
  }
  return value;
}
