// Points as gains over a reference: all positive, larger is better, each objective brought to the order of 1.
import { Nsga2Error } from '../../errors.ts';
import { flatten, type Points } from '../../sorting/points.ts';

/** The points that strictly dominate the reference. */
export interface Gains {
  /** reference − point [size, dimension], each column divided by 2 to its exponent. */
  readonly values: Float64Array;
  readonly size: number;
  readonly dimension: number;
  /** Index of each among the points given. */
  readonly rows: Int32Array;
  /** How many were given. */
  readonly count: number;
  readonly exponents: readonly number[];
}

/** @throws Nsga2Error `invalid-points` on ragged vectors, NaN, −Infinity, a reference that is not finite, gains beyond float64 */
export function gainsOver(points: Points, reference: ArrayLike<number>): Gains {
  const dimension = reference.length;
  if (dimension === 0) throw new Nsga2Error('invalid-points', 'the reference point is empty', { reference });
  for (let k = 0; k < dimension; k++) {
    if (!Number.isFinite(reference[k])) {
      throw new Nsga2Error('invalid-points', `reference[${k}] is ${reference[k]}: needs a finite number`, {
        reference,
      });
    }
  }
  const { values, count } = flatten(points, dimension);
  const rows = new Int32Array(count);
  let size = 0;
  // Gains take the place of the points: those that count move up.
  for (let i = 0; i < count; i++) {
    let inside = true;
    for (let k = 0; k < dimension && inside; k++) {
      const value = values[i * dimension + k]!;
      const gain = reference[k]! - value;
      if (gain === Infinity) {
        if (value === -Infinity)
          throw new Nsga2Error('invalid-points', `point ${i} has −Infinity at ${k}`, { index: i });
        throw overflow({ index: i, objective: k, value, reference: reference[k] });
      }
      inside = gain > 0;
      values[size * dimension + k] = gain;
    }
    if (inside) rows[size++] = i;
  }
  const gains = values.subarray(0, size * dimension);
  const exponents = Array.from({ length: dimension }, (_, k) => bringToOne(gains, size, dimension, k));
  return { values: gains, size, dimension, rows, count, exponents };
}

/**
 * A volume of gains in the units of the points.
 *
 * @throws Nsga2Error `invalid-points` where it is beyond float64
 */
export function inUnits(volume: number, { exponents }: Gains, reference: ArrayLike<number>): number {
  // The largest and the smallest factors in turn, so that no product on the way leaves the range that the last is in.
  const left = exponents.toSorted((a, b) => a - b);
  let result = volume;
  while (left.length > 0) {
    const exponent = result < 1 ? left.pop()! : left.shift()!;
    result = timesPowerOfTwo(result, exponent);
  }
  if (result === Infinity) throw overflow({ reference: Array.from(reference) });
  return result;
}

/** Powers of two up to this, and two of them in turn, leave the range of float64 for none of their products with a volume near 1. */
const MOST_AT_ONCE = 1000;

/**
 * {@link inUnits} of many volumes of the same gains.
 *
 * @throws Nsga2Error `invalid-points` (what it returns) where a volume is beyond float64
 */
export function unitsOf(gains: Gains, reference: ArrayLike<number>): (volume: number) => number {
  const exponent = gains.exponents.reduce((sum, one) => sum + one, 0);
  if (Math.abs(exponent) > MOST_AT_ONCE) return (volume) => inUnits(volume, gains, reference);
  const factor = 2 ** exponent;
  return (volume) => volume * factor;
}

function overflow(details: Readonly<Record<string, unknown>>): Nsga2Error {
  return new Nsga2Error(
    'invalid-points',
    'the hypervolume is beyond what a number can say: divide the objectives, and the reference, by a constant',
    details,
  );
}

/** value · 2^exponent; the exponent of a sum of two float64 may be one beyond what a single power can say. */
function timesPowerOfTwo(value: number, exponent: number): number {
  const half = Math.trunc(exponent / 2);
  return value * 2 ** half * 2 ** (exponent - half);
}

/** Divides a column by the power of two of its largest gain, which changes no digit. @returns the exponent, 0 for no rows */
function bringToOne(gains: Float64Array, size: number, dimension: number, column: number): number {
  let largest = 0;
  if (size === 0) return 0;
  for (let at = column; at < size * dimension; at += dimension) if (gains[at]! > largest) largest = gains[at]!;
  const exponent = Math.floor(Math.log2(largest));
  if (exponent === 0) return 0;
  for (let at = column; at < size * dimension; at += dimension) gains[at] = timesPowerOfTwo(gains[at]!, -exponent);
  return exponent;
}
