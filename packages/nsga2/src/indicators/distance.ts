// Distances between a set of points and a reference front: GD, GD+, IGD, IGD+ and additive epsilon.
import { Nsga2Error } from '../errors.ts';
import { rootOf, withinFloat64 } from './length.ts';
import { flatten, type FlatPoints, type Points } from '../sorting/points.ts';

type Gap = (from: FlatPoints, i: number, to: FlatPoints, j: number) => number;

/** Euclidean distance. */
export const euclidean: Gap = (from, i, to, j) => {
  let squares = 0;
  for (let k = 0; k < from.dimension; k++) {
    const difference = from.values[i * from.dimension + k]! - to.values[j * to.dimension + k]!;
    squares += difference * difference;
  }
  return rootOf(squares, () => differences(from, i, to, j));
};

/** Length of the part of (point − reference) by which the point is worse. */
const worse: Gap = (point, i, reference, j) => {
  let squares = 0;
  let isWorse = false;
  for (let k = 0; k < point.dimension; k++) {
    const excess = point.values[i * point.dimension + k]! - reference.values[j * reference.dimension + k]!;
    if (!(excess > 0)) continue;
    isWorse = true;
    squares += excess * excess;
  }
  if (!isWorse) return 0;
  return rootOf(squares, () => differences(point, i, reference, j).map((excess) => Math.max(0, excess)));
};

/** from − to, objective by objective. */
function differences(from: FlatPoints, i: number, to: FlatPoints, j: number): number[] {
  return Array.from(
    { length: from.dimension },
    (_, k) => from.values[i * from.dimension + k]! - to.values[j * to.dimension + k]!,
  );
}

/** Mean over `from` of the smallest gap to `to`. @throws Nsga2Error `invalid-points` where it is beyond float64 */
function meanNearest(from: FlatPoints, to: FlatPoints, gap: Gap): number {
  let mean = 0;
  for (let i = 0; i < from.count; i++) {
    let least = Infinity;
    for (let j = 0; j < to.count; j++) least = Math.min(least, gap(from, i, to, j));
    mean += least / from.count;
  }
  return withinFloat64(mean, 'distance');
}

function pair(points: Points, reference: Points): readonly [FlatPoints, FlatPoints] {
  if (points.length === 0 || reference.length === 0) {
    throw new Nsga2Error('invalid-points', 'both the points and the reference front need at least one point', {
      points: points.length,
      reference: reference.length,
    });
  }
  const flat = flatten(reference, undefined, 'finite');
  return [flatten(points, flat.dimension, 'finite'), flat];
}

/**
 * Generational distance: mean Euclidean distance of the points to the nearest reference point. (Some authors take the
 * root of the sum of squares over N instead; this is the form with p = 1.)
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, where either side is empty, or for a distance beyond float64
 */
export function generationalDistance(points: Points, reference: Points): number {
  const [a, b] = pair(points, reference);
  return meanNearest(a, b, euclidean);
}

/**
 * Inverted generational distance: mean Euclidean distance of the reference points to the nearest point.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, where either side is empty, or for a distance beyond float64
 */
export function invertedGenerationalDistance(points: Points, reference: Points): number {
  const [a, b] = pair(points, reference);
  return meanNearest(b, a, euclidean);
}

/**
 * GD+ (Ishibuchi, Masuda, Tanigaki and Nojima 2015): only the part by which a point is worse counts as distance.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, where either side is empty, or for a distance beyond float64
 */
export function generationalDistancePlus(points: Points, reference: Points): number {
  const [a, b] = pair(points, reference);
  return meanNearest(a, b, worse);
}

/**
 * IGD+ (Ishibuchi et al. 2015): as IGD with the distance of GD+; never prefers a dominated set.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, where either side is empty, or for a distance beyond float64
 */
export function invertedGenerationalDistancePlus(points: Points, reference: Points): number {
  const [a, b] = pair(points, reference);
  return meanNearest(b, a, (from, i, to, j) => worse(to, j, from, i));
}

/**
 * Additive epsilon (Zitzler et al. 2003): the smallest shift by which the points weakly dominate the whole reference.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, where either side is empty, or for a distance beyond float64
 */
export function additiveEpsilon(points: Points, reference: Points): number {
  const [a, b] = pair(points, reference);
  let epsilon = -Infinity;
  for (let j = 0; j < b.count; j++) {
    let least = Infinity;
    for (let i = 0; i < a.count; i++) {
      let shift = -Infinity;
      for (let k = 0; k < a.dimension; k++) {
        shift = Math.max(shift, a.values[i * a.dimension + k]! - b.values[j * b.dimension + k]!);
      }
      least = Math.min(least, shift);
    }
    epsilon = Math.max(epsilon, least);
  }
  return withinFloat64(epsilon, 'shift');
}
