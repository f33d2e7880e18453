// Counts: the elements of a shape, and options that must be one or an integer.
import { SupernetError } from './errors.ts';

export { elementCount } from '@hip/checkpoints';

/** @throws SupernetError `invalid-option` naming the option and its value */
export function positiveInteger(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0) return value;
  const message = `${name} = ${value}: expected a positive integer`;
  throw new SupernetError('invalid-option', message, { name, value, [name]: value });
}

/** @throws SupernetError `invalid-option` naming the option and its value */
export function integerOption(name: string, value: number, least = -Infinity): number {
  if (Number.isInteger(value) && value >= least) return value;
  const message = `${name} = ${value}: expected an integer${least === -Infinity ? '' : ` ≥ ${least}`}`;
  throw new SupernetError('invalid-option', message, { name, value, [name]: value });
}
