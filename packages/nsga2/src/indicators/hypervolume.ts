// Exact hypervolume: sweeps for 1–5 objectives, WFG beyond.
import type { Points } from '../sorting/points.ts';
import { gainsOver, inUnits } from './volume/gains.ts';
import { volumeOf } from './volume/volume.ts';

/**
 * Volume of the region that the points dominate and that dominates the reference point (minimisation).
 *
 * Points that do not strictly dominate the reference add nothing; dominated and equal points are allowed. Two
 * objectives: a sweep, O(N log N). Three: a sweep over a staircase, O(N log N) comparisons. Four: a staircase a
 * point, O(N²) comparisons. Five: one of four a point. Six and more: WFG (While, Bradstreet and Barone 2012) ending in the
 * five-objective sweep. Exact up to rounding, in any unit: each objective is brought to the order of 1 by a power of two before volumes are multiplied.
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
  const gains = gainsOver(points, reference);
  return inUnits(volumeOf(gains.values, gains.size, gains.dimension), gains, reference);
}
