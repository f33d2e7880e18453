// What each point of a front adds to its hypervolume.
import type { Points } from '../sorting/points.ts';
import { Exclusive } from './volume/exclusive.ts';
import { gainsOver, inUnits } from './volume/gains.ts';

/**
 * The hypervolume that each point dominates alone: what would be lost without it (minimisation). Points that another dominates or
 * equals, and those that do not strictly dominate the reference, add nothing.
 *
 * One hypervolume of the others, limited to the point's box, for each point: O(N²) in two objectives,
 * O(N² log N) in three.
 *
 * @param points N vectors of M objectives
 * @param reference M values, worse than the points that should count
 * @returns N volumes
 * @throws Nsga2Error `invalid-points` as {@link hypervolume}
 *
 * @example
 * ```ts
 * import { hypervolumeContributions } from '@instatune/nsga2';
 * console.log([...hypervolumeContributions([[1, 4], [2, 3], [4, 1], [3, 3]], [5, 5])]); // => [ 1, 1, 2, 0 ]
 * ```
 */
export function hypervolumeContributions(points: Points, reference: ArrayLike<number>): Float64Array {
  const gains = gainsOver(points, reference);
  const { values, size, dimension, rows, count } = gains;
  const exclusive = new Exclusive(values, size, dimension);
  const live = new Uint8Array(size).fill(1);
  const result = new Float64Array(count);
  for (let row = 0; row < size; row++) result[rows[row]!] = inUnits(exclusive.of(row, live), gains, reference);
  return result;
}
