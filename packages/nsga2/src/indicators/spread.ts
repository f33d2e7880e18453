// How evenly a set of points is spread: Deb's Δ, its generalisation, and Schott's spacing.
import { Nsga2Error } from '../errors.ts';
import { euclidean as distance } from './distance.ts';
import { rootOf, withinFloat64 } from './length.ts';
import { flatten, type FlatPoints, type Points } from '../sorting/points.ts';

/**
 * Spread Δ: 0 for evenly spaced points that reach the extremes of the reference front; smaller is better.
 *
 * Two objectives: Δ of Deb (2002), (d_f + d_l + Σ|d_i − d̄|) / (d_f + d_l + (N−1)·d̄), with d_i the gaps between
 * neighbours and d_f, d_l the distances of the end points to the extremes. More objectives: the generalised spread of
 * Zhou et al. (2006), with d_i the distance to the nearest other point.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, fewer than two points, an empty reference, or gaps beyond float64
 */
export function spread(points: Points, reference: Points): number {
  const b = flatten(reference, undefined, 'finite');
  if (b.count === 0 || points.length < 2) {
    throw new Nsga2Error('invalid-points', 'spread needs two points and a reference front', { points: points.length });
  }
  const a = flatten(points, b.dimension, 'finite');
  const gaps = a.dimension === 2 ? consecutiveGaps(a) : nearestGaps(a);
  let ends = 0;
  for (let k = 0; k < b.dimension; k++) {
    const extreme = extremeRow(b, k);
    if (a.dimension === 2) {
      ends += distance(a, extremeRow(a, k), b, extreme);
      continue;
    }
    let least = Infinity;
    for (let i = 0; i < a.count; i++) least = Math.min(least, distance(a, i, b, extreme));
    ends += least;
  }
  const mean = average(gaps);
  const deviation = gaps.reduce((sum, gap) => sum + Math.abs(gap - mean), 0);
  const scale = ends + gaps.length * mean;
  return scale > 0 ? (ends + deviation) / withinFloat64(scale, 'sum of the gaps') : 0;
}

/**
 * Spacing (Schott 1995): standard deviation of the Manhattan distances to the nearest other point.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, fewer than two points, or gaps beyond float64
 */
export function spacing(points: Points): number {
  const a = flatten(points, undefined, 'finite');
  if (a.count < 2) throw new Nsga2Error('invalid-points', 'spacing needs two points', { points: a.count });
  const gaps = Array.from({ length: a.count }, (_, i) => {
    let least = Infinity;
    for (let j = 0; j < a.count; j++) {
      if (j === i) continue;
      let sum = 0;
      for (let k = 0; k < a.dimension; k++) {
        sum += Math.abs(a.values[i * a.dimension + k]! - a.values[j * a.dimension + k]!);
      }
      least = Math.min(least, sum);
    }
    return least;
  });
  const mean = average(gaps);
  const offsets = gaps.map((gap) => gap - mean);
  return withinFloat64(
    rootOf(
      offsets.reduce((sum, offset) => sum + offset ** 2, 0),
      () => offsets,
    ) / Math.sqrt(gaps.length - 1),
    'deviation of the gaps',
  );
}

/** The row that is best in objective k: for two objectives, an end of the front. */
function extremeRow(points: FlatPoints, k: number): number {
  let best = 0;
  for (let i = 1; i < points.count; i++) {
    const difference = points.values[i * points.dimension + k]! - points.values[best * points.dimension + k]!;
    if (difference < 0) best = i;
  }
  return best;
}

function consecutiveGaps(points: FlatPoints): number[] {
  const order = Array.from({ length: points.count }, (_, i) => i).sort(
    (i, j) => points.values[2 * i]! - points.values[2 * j]! || points.values[2 * j + 1]! - points.values[2 * i + 1]!,
  );
  return order.slice(1).map((row, n) => distance(points, order[n]!, points, row));
}

function nearestGaps(points: FlatPoints): number[] {
  return Array.from({ length: points.count }, (_, i) => {
    let least = Infinity;
    for (let j = 0; j < points.count; j++) if (j !== i) least = Math.min(least, distance(points, i, points, j));
    return least;
  });
}

function average(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
