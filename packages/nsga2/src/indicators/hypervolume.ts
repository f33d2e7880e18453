// Exact hypervolume: sweeps for 1–4 objectives, WFG beyond.
import { Nsga2Error } from '../errors.ts';
import { flatten, type Points } from '../sorting/points.ts';
import { hypervolume2, hypervolume3, hypervolume4, wfg } from './wfg.ts';

/**
 * Volume of the region that the points dominate and that dominates the reference point (minimisation).
 *
 * Points that do not strictly dominate the reference add nothing; dominated and equal points are allowed. Two
 * objectives: a sweep, O(N log N). Three: a sweep over a staircase, O(N log N) comparisons. Four: one such sweep a point,
 * O(N² log N). Five and more: WFG (While, Bradstreet and Barone 2012) ending in the four-objective sweep. Exact up to rounding.
 *
 * @param points N vectors of M objectives
 * @param reference M values, worse than the points that should count
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, or −Infinity (an infinite volume)
 *
 * @example
 * ```ts
 * import { hypervolume } from '@instatune/nsga2';
 * hypervolume([[1, 5], [2, 4], [3, 3], [4, 2], [5, 1]], [6, 6]); // 15
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
      if (gain === Infinity) throw new Nsga2Error('invalid-points', `point ${i} has −Infinity at ${k}`, { index: i });
      inside = gain > 0;
      shifted[size * dimension + k] = gain;
    }
    if (inside) size++;
  }
  if (size === 0) return 0;
  const gains = shifted.subarray(0, size * dimension);
  if (dimension === 1) return gains.reduce((a, b) => Math.max(a, b));
  if (dimension === 2) return hypervolume2(gains, size);
  if (dimension === 3) return hypervolume3(gains, size);
  if (dimension === 4) return hypervolume4(gains, size);
  return wfg(gains, size, dimension);
}
