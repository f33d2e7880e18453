// Exact hypervolume: sweeps to three objectives, local bounds to eight, WFG beyond.
import type { Points } from '../sorting/points.ts';
import { gainsOver, inUnits } from './volume/gains.ts';
import { volumeOf } from './volume/volume.ts';

/**
 * Volume of the region that the points dominate and that dominates the reference point (minimisation).
 *
 * Points that do not strictly dominate the reference add nothing; dominated and equal points are allowed. Two
 * objectives: a sweep, O(N log N). Three: a sweep over a staircase, O(N log N) comparisons. Four to eight: a sweep over the local bounds of
 * the space that is left (Lacour, Klamroth and Fonseca 2017), of which four objectives have at most 2N + 1, so O(N²) comparisons there; more objectives
 * have more, in memory too. Nine and more: WFG (While, Bradstreet and Barone 2012) down to eight. Exact up to rounding, in any unit: each
 * objective is brought to the order of 1 by a power of two before volumes are multiplied.
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
