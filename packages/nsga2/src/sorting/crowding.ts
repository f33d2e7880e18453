// Crowding distance (Deb 2002): how far a point's neighbours on its front lie apart.
import { shareOf, widthOf } from '../range.ts';
import { flatten, type Points } from './points.ts';
import { lexicographicOrder, sameRow } from './order.ts';

/**
 * Crowding distance of each point of one front: per objective the distance between its two neighbours over the range of
 * the front, averaged over the objectives, so that it is the same in any unit. The extreme points of every objective get
 * Infinity (of several that share the extreme value, one); an objective in which all points agree, but for rounding, adds
 * 0 and has no extremes; fronts of at most two points are all Infinity. Copies of an earlier point get 0, and are no
 * neighbours.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN or ±Infinity
 *
 * @example
 * ```ts
 * import { crowdingDistance } from '@instatune/nsga2';
 * console.log(crowdingDistance([[1, 5], [2, 3], [4, 2], [5, 1]])); // => Float64Array(4) [ Infinity, 0.75, 0.625, Infinity ]
 * ```
 */
export function crowdingDistance(points: Points): Float64Array {
  const { values, count, dimension } = flatten(points, undefined, 'finite');
  const distances = new Float64Array(count);
  crowdRows(
    values,
    dimension,
    Int32Array.from({ length: count }, (_, i) => i),
    distances,
  );
  return distances;
}

/** Crowding of the rows `members`, written to `distances[row]`. */
export function crowdRows(values: Float64Array, dimension: number, members: Int32Array, distances: Float64Array): void {
  if (members.length <= 2) {
    for (const member of members) distances[member] = Infinity;
    return;
  }
  const unique = firstOfEach(values, dimension, members);
  for (const member of members) distances[member] = 0;
  if (unique.length <= 2) {
    for (const member of unique) distances[member] = Infinity;
    return;
  }
  const order = unique.slice();
  const last = order.length - 1;
  for (let k = 0; k < dimension; k++) {
    sortByColumn(order, values, dimension, k);
    const low = values[order[0]! * dimension + k]!;
    const high = values[order[last]! * dimension + k]!;
    const width = widthOf(low, high);
    if (width === 0) continue;
    distances[order[0]!] = Infinity;
    distances[order[last]!] = Infinity;
    const scale = width * dimension;
    for (let n = 1; n < last; n++) {
      const before = values[order[n - 1]! * dimension + k]!;
      const after = values[order[n + 1]! * dimension + k]!;
      distances[order[n]!]! +=
        scale < Infinity ? (after - before) / scale : shareOf(before, after, low, high) / dimension;
    }
  }
}

/** Members without the copies of earlier ones, ascending in the first objective. */
export function firstOfEach(values: Float64Array, dimension: number, members: Int32Array): Int32Array {
  const rows = new Float64Array(members.length * dimension);
  for (let n = 0; n < members.length; n++) {
    for (let k = 0; k < dimension; k++) rows[n * dimension + k] = values[members[n]! * dimension + k]!;
  }
  const order = lexicographicOrder(rows, members.length, dimension);
  const kept = new Int32Array(members.length);
  let size = 0;
  for (let n = 0; n < order.length; n++) {
    if (n > 0 && sameRow(rows, dimension, order[n - 1]!, order[n]!)) continue;
    kept[size++] = members[order[n]!]!;
  }
  return kept.subarray(0, size);
}

/** Sorts row numbers by one objective, ties by row number. */
export function sortByColumn(rows: Int32Array, values: Float64Array, dimension: number, column: number): void {
  rows.sort((i, j) => {
    const difference = values[i * dimension + column]! - values[j * dimension + column]!;
    return difference < 0 ? -1 : difference > 0 ? 1 : i - j;
  });
}
