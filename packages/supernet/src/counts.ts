// Counts: the elements of a shape, and options that must be one.
import { SupernetError } from './errors.ts';

/** Elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((size, extent) => size * extent, 1);
}

/** @throws SupernetError `invalid-option` naming the option and its value */
export function positiveInteger(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0) return value;
  const message = `${name} = ${value}: expected a positive integer`;
  throw new SupernetError('invalid-option', message, { name, value, [name]: value });
}
