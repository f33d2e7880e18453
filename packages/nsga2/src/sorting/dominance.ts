// Pareto domination of objective vectors (minimisation).
import { flatten, type Points } from './points.ts';
import { rankPoints } from './non-dominated-sort.ts';

/** True when a is nowhere worse than b and somewhere better. A vector with NaN dominates nothing and is dominated by nothing. */
export function dominates(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  let better = false;
  for (let i = 0; i < a.length; i++) {
    if (!(a[i]! <= b[i]!)) return false;
    if (a[i]! < b[i]!) better = true;
  }
  return better;
}

/** 1: row i dominates row j; −1: the other way round; 0: neither. */
export function compareRows(values: Float64Array, dimension: number, i: number, j: number): -1 | 0 | 1 {
  let better = false;
  let worse = false;
  const a = i * dimension;
  const b = j * dimension;
  for (let k = 0; k < dimension; k++) {
    const x = values[a + k]!;
    const y = values[b + k]!;
    if (x < y) better = true;
    else if (x > y) worse = true;
  }
  return better === worse ? 0 : better ? 1 : -1;
}

/**
 * Indices of the points that no other point dominates, in ascending order. Equal points are all kept.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors or NaN
 *
 * @example
 * ```ts
 * import { paretoFront } from '@instatune/nsga2';
 * console.log(paretoFront([[1, 5], [2, 3], [3, 4], [5, 1]])); // => [ 0, 1, 3 ]
 * ```
 */
export function paretoFront(points: Points): number[] {
  const flat = flatten(points);
  const { ranks } = rankPoints(flat.values, flat.count, flat.dimension, 1);
  const front: number[] = [];
  for (let i = 0; i < flat.count; i++) if (ranks[i] === 0) front.push(i);
  return front;
}
