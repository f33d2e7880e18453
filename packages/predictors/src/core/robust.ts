// Scales that one row cannot move by more than a share of what the other rows say: clipped at multiples of the median absolute deviation.
import { isConstant, medianOf } from './range.ts';
import { scaleTargets, type ScaledTargets } from './scaling.ts';

/** Median absolute deviations are this much smaller than the standard deviation of normal values (Rousseeuw and Croux 1993). */
const NORMAL = 1.4826;

/** Values further from the median than this many (normal) deviations count as if they were this far. */
const REACH = 5;

/**
 * Half the typical distance between the values, which no single one of them decides: the median absolute deviation; where more than half are
 * equal, the median of the distances that are not 0, the largest left out; 0 where no more than one value differs.
 */
function typicalDistance(values: Float64Array, median: number): number {
  const distances = values.map((value) => Math.abs(value - median)).sort();
  const middle = medianOf(distances);
  if (!isConstant(median, median + middle)) return middle;
  const others = distances.subarray(0, -1).filter((distance) => !isConstant(median, median + distance));
  return others.length > 0 ? medianOf(others) : 0;
}

/**
 * Targets scaled as {@link scaleTargets} does, but with mean and deviation of the values clipped at five deviations by the median absolute
 * deviation: the same where no value is further away, and bounded in what one row can do, however far it is.
 */
export function scaleTargetsRobustly(targets: Float64Array): ScaledTargets {
  // Refuses targets of which a square would overflow.
  const plain = scaleTargets(targets);
  const median = medianOf(targets);
  const reach = REACH * NORMAL * typicalDistance(targets, median);
  if (!targets.some((value) => Math.abs(value - median) > reach)) return plain;
  const { mean, deviation } = scaleTargets(
    targets.map((value) => Math.min(median + reach, Math.max(median - reach, value))),
  );
  return { values: targets.map((value) => (value - mean) / deviation), mean, deviation };
}

/** Root of the mean square of residuals, in deviations of the targets, each counted as at most five deviations by their median absolute value. */
export function robustRms(residuals: Float64Array): number {
  const sizes = residuals.map(Math.abs);
  const typical = typicalDistance(sizes, 0);
  const reach = REACH * (typical > 0 ? NORMAL * typical : 1);
  const largest = Math.min(
    reach,
    sizes.reduce((a, b) => Math.max(a, b), 0),
  );
  if (largest === 0) return 0;
  return (
    largest * Math.sqrt(sizes.reduce((sum, size) => sum + (Math.min(size, reach) / largest) ** 2, 0) / sizes.length)
  );
}

/** A target is an outlier this many (normal) deviations from the median, of fewer rows than one in {@link RARE}. */
const OUTLYING = 10;
const RARE = 20;

/**
 * Targets in which outliers count as the furthest value that is none: one measurement that went wrong by a thousand does not decide
 * the unit, the noise or the mean of all others, and still is the worst (or best) there is. An outlier is ten deviations, by the median
 * absolute deviation, from the median; where one row in twenty or more lies as far, that is how the values are, and nothing is changed.
 *
 * @returns the targets themselves where there is no outlier
 */
export function tameTargets(targets: Float64Array): Float64Array {
  const median = medianOf(targets);
  const reach = OUTLYING * NORMAL * typicalDistance(targets, median);
  const isNear = (value: number): boolean => Math.abs(value - median) <= reach;
  const far = targets.reduce((count, value) => count + Number(!isNear(value)), 0);
  if (reach === 0 || far === 0 || far * RARE > targets.length) return targets;
  let low = median;
  let high = median;
  for (const value of targets) {
    if (!isNear(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return targets.map((value) => Math.min(high, Math.max(low, value)));
}
