// What each point of a front adds to its hypervolume.
import type { Points } from '../sorting/points.ts';
import { exclusiveAreas, exclusiveVolumes } from './volume/exclusive-areas.ts';
import { Exclusive } from './volume/exclusive.ts';
import { gainsOver, unitsOf } from './volume/gains.ts';

/**
 * The hypervolume that each point dominates alone: what would be lost without it (minimisation). Points that another dominates or
 * equals, and those that do not strictly dominate the reference, add nothing.
 *
 * Two and three objectives: one sweep for all points, O(N log N) comparisons where few points crowd under one. One, four and more: a hypervolume of the
 * others, limited to the point's box, for each point.
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
  const volumes = volumesOf(values, size, dimension);
  const toUnits = unitsOf(gains, reference);
  const result = new Float64Array(count);
  for (let row = 0; row < size; row++) result[rows[row]!] = toUnits(volumes[row]!);
  return result;
}

function volumesOf(gains: Float64Array, size: number, dimension: number): Float64Array {
  if (dimension === 2) return exclusiveAreas(gains, size);
  return dimension === 3 ? exclusiveVolumes(gains, size) : oneByOne(gains, size, dimension);
}

function oneByOne(gains: Float64Array, size: number, dimension: number): Float64Array {
  const exclusive = new Exclusive(gains, size, dimension);
  const live = new Uint8Array(size).fill(1);
  return Float64Array.from({ length: size }, (_, row) => exclusive.of(row, live));
}
