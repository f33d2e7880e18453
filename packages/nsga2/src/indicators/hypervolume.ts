// Exact hypervolume: sweeps for 1–4 objectives, WFG beyond.
import { Nsga2Error } from '../errors.ts';
import { flatten, type Points } from '../sorting/points.ts';
import { hypervolume2, hypervolume3, hypervolume4, wfg } from './wfg.ts';

/**
 * Volume of the region that the points dominate and that dominates the reference point (minimisation).
 *
 * Points that do not strictly dominate the reference add nothing; dominated and equal points are allowed. Two
 * objectives: a sweep, O(N log N). Three: a sweep over a staircase, O(N log N) comparisons. Four: one such sweep a point,
 * O(N² log N). Five and more: WFG (While, Bradstreet and Barone 2012) ending in the four-objective sweep. Exact up to
 * rounding, in any unit: each objective is brought to the order of 1 by a power of two before volumes are multiplied.
 *
 * @param points N vectors of M objectives
 * @param reference M values, worse than the points that should count
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, −Infinity (an infinite volume), or a volume beyond float64
 *
 * @example
 * ```ts
 * import { hypervolume } from '@instatune/nsga2';
 * console.log(hypervolume([[1, 5], [2, 4], [3, 3], [4, 2], [5, 1]], [6, 6])); // => 15
 * ```
 */
export function hypervolume(points: Points, reference: ArrayLike<number>): number {
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
  // Shifted so that the reference is the origin and volumes are products of −coordinates.
  const shifted = new Float64Array(count * dimension);
  let size = 0;
  for (let i = 0; i < count; i++) {
    let inside = true;
    for (let k = 0; k < dimension && inside; k++) {
      const gain = reference[k]! - values[i * dimension + k]!;
      if (gain === Infinity) {
        const value = values[i * dimension + k]!;
        if (value === -Infinity)
          throw new Nsga2Error('invalid-points', `point ${i} has −Infinity at ${k}`, { index: i });
        throw overflow({ index: i, objective: k, value, reference: reference[k] });
      }
      inside = gain > 0;
      shifted[size * dimension + k] = gain;
    }
    if (inside) size++;
  }
  if (size === 0) return 0;
  const gains = shifted.subarray(0, size * dimension);
  const exponents = Array.from({ length: dimension }, (_, k) => bringToOne(gains, size, dimension, k));
  const volume = volumeOf(gains, size, dimension);
  // The largest and the smallest factors in turn, so that no product on the way leaves the range that the last is in.
  exponents.sort((a, b) => a - b);
  let result = volume;
  while (exponents.length > 0) {
    const exponent = result < 1 ? exponents.pop()! : exponents.shift()!;
    result = timesPowerOfTwo(result, exponent);
  }
  if (result === Infinity) throw overflow({ reference: Array.from(reference) });
  return result;
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

/** Divides a column by the power of two of its largest gain, which changes no digit. @returns the exponent */
function bringToOne(gains: Float64Array, size: number, dimension: number, column: number): number {
  let largest = 0;
  for (let i = 0; i < size; i++) largest = Math.max(largest, gains[i * dimension + column]!);
  const exponent = Math.floor(Math.log2(largest));
  for (let at = column; at < size * dimension; at += dimension) gains[at] = timesPowerOfTwo(gains[at]!, -exponent);
  return exponent;
}

function volumeOf(gains: Float64Array, size: number, dimension: number): number {
  if (dimension === 1) return gains.reduce((a, b) => Math.max(a, b));
  if (dimension === 2) return hypervolume2(gains, size);
  if (dimension === 3) return hypervolume3(gains, size);
  if (dimension === 4) return hypervolume4(gains, size);
  return wfg(gains, size, dimension);
}
