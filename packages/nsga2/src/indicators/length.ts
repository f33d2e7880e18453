// Euclidean lengths in any unit.
import { Nsga2Error } from '../errors.ts';

/** Sums of squares below this may lack squares that vanished and that count. */
const LEAST_SQUARES = 2 ** -900;

/**
 * Root of a sum of squares in any unit.
 *
 * @param squares the sum as it is; where it may have overflowed, or squares vanished, it is made again of the parts
 */
export function rootOf(squares: number, parts: () => readonly number[]): number {
  if (squares > LEAST_SQUARES && squares < Infinity) return Math.sqrt(squares);
  const sizes = parts().map(Math.abs);
  const largest = sizes.reduce((a, b) => Math.max(a, b), 0);
  if (largest === 0 || largest === Infinity) return largest;
  return largest * Math.sqrt(sizes.reduce((sum, size) => sum + (size / largest) ** 2, 0));
}

/** The value, where a number can say it. @throws Nsga2Error `invalid-points` */
export function withinFloat64(value: number, what: string): number {
  if (Number.isFinite(value)) return value;
  throw new Nsga2Error(
    'invalid-points',
    `the ${what} is beyond what a number can say: divide the points, and the reference, by a constant`,
    { value },
  );
}
