// Choosing one trade-off from a front: knee, trade-off ratios, pseudo-weights, targets.
import { Nsga2Error } from '../errors.ts';
import { shareOf } from '../range.ts';
import { flatten, type FlatPoints, type Points } from '../sorting/points.ts';

interface Range {
  readonly low: number;
  readonly high: number;
}

/** Shares of a range closer than this are equal: what is left of them is rounding, which a change of unit changes. */
const ALIKE = 1e-12;

function ranges({ values, count, dimension }: FlatPoints): Range[] {
  if (count === 0) throw new Nsga2Error('invalid-points', 'there is no point to choose from');
  return Array.from({ length: dimension }, (_, k) => {
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < count; i++) {
      low = Math.min(low, values[i * dimension + k]!);
      high = Math.max(high, values[i * dimension + k]!);
    }
    return { low, high };
  });
}

/** Objectives on the scale of the front: 0 best, 1 worst; 0 where all agree, but for rounding. */
function normalised(points: Points): number[][] {
  const flat = flatten(points, undefined, 'finite');
  const scale = ranges(flat);
  return points.map((_, i) =>
    scale.map(({ low, high }, k) => shareOf(low, flat.values[i * flat.dimension + k]!, low, high)),
  );
}

/** Of values that are alike, the first. */
function indexOfLeast(values: readonly number[]): number {
  const least = values.reduce((a, b) => Math.min(a, b));
  return values.findIndex((value) => value <= least + ALIKE);
}

/**
 * Index of the knee: the point furthest below the hyperplane through the extremes of the front (Das 1999), with each
 * objective scaled to the range of the front. With two objectives: the greatest distance from the line between the end
 * points. Of equals, the first.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, or where there is no point
 *
 * @example
 * ```ts
 * import { kneePoint } from '@instatune/nsga2';
 * console.log(kneePoint([[0, 10], [1, 2], [5, 1], [10, 0]])); // => 1
 * ```
 */
export function kneePoint(points: Points): number {
  return indexOfLeast(normalised(points).map((point) => point.reduce((sum, value) => sum + value, 0)));
}

/**
 * What moving to another point costs at least per unit it gains (Rachmawati and Srinivasan 2009): the smallest ratio of
 * summed losses to summed gains over all other points. Large values are points nobody would leave.
 * Infinity for a point that no other improves on in any objective.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, or where there is no point
 */
export function tradeOffs(points: Points): number[] {
  const scaled = normalised(points);
  return scaled.map((point, i) => {
    let least = Infinity;
    scaled.forEach((other, j) => {
      if (i === j) return;
      let gain = 0;
      let loss = 0;
      other.forEach((value, k) => {
        const difference = value - point[k]!;
        if (difference < -ALIKE) gain -= difference;
        else if (difference > ALIKE) loss += difference;
      });
      if (gain > 0) least = Math.min(least, loss / gain);
    });
    return least;
  });
}

/**
 * Pseudo-weights (Deb 2001): how good each point is in each objective, as weights that sum to 1. A point with weight 0.8
 * in the first objective lies where a user who cares 80 % about it would look.
 *
 * @throws Nsga2Error `invalid-points` on ragged vectors, NaN, ±Infinity, or where there is no point
 */
export function pseudoWeights(points: Points): number[][] {
  return normalised(points).map((point) => {
    const total = point.reduce((sum, value) => sum + (1 - value), 0);
    return point.map((value) => (total > 0 ? (1 - value) / total : 1 / point.length));
  });
}

/**
 * Index of the point whose pseudo-weights are nearest to the given weights (scaled to sum 1).
 *
 * @throws Nsga2Error `invalid-option` unless there is one weight >= 0 per objective, not all 0; `invalid-points` on ragged vectors, NaN or ±Infinity
 *
 * @example
 * ```ts
 * import { chooseByWeights } from '@instatune/nsga2';
 * console.log(chooseByWeights([[0, 10], [3, 3], [10, 0]], [1, 1])); // => 1
 * ```
 */
export function chooseByWeights(points: Points, weights: readonly number[]): number {
  const total = weights.reduce((a, b) => a + b, 0);
  if (
    weights.length !== points[0]?.length ||
    !(total > 0 && total < Infinity) ||
    weights.some((weight) => !(weight >= 0))
  ) {
    throw new Nsga2Error('invalid-option', 'weights: one non-negative number per objective, not all 0', { weights });
  }
  return indexOfLeast(
    pseudoWeights(points).map((point) => point.reduce((sum, value, k) => sum + (value - weights[k]! / total) ** 2, 0)),
  );
}

/**
 * Index of the point that is best in `objective` among those within the limits ("at most 20 ms"), or undefined when none
 * is within them. Use Infinity for an objective without a limit. Infinite values are ordered as numbers are. Of equals, the
 * first.
 *
 * @throws Nsga2Error `invalid-option` for a wrong number of limits, a limit of NaN, or an objective that is not there; `invalid-points` on ragged vectors or NaN
 */
export function chooseWithin(points: Points, limits: readonly number[], objective: number): number | undefined {
  const { values, count, dimension } = flatten(points);
  const known = Number.isInteger(objective) && objective >= 0 && objective < dimension;
  if (count > 0 && (limits.length !== dimension || limits.some(Number.isNaN) || !known)) {
    throw new Nsga2Error('invalid-option', `limits: ${dimension} numbers; objective: 0 to ${dimension - 1}`, {
      limits,
      objective,
    });
  }
  let best: number | undefined;
  for (let i = 0; i < count; i++) {
    if (limits.some((limit, k) => values[i * dimension + k]! > limit)) continue;
    if (best === undefined || values[i * dimension + objective]! < values[best * dimension + objective]!) best = i;
  }
  return best;
}
