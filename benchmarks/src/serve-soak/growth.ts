// Whether something grows: the least-squares line through samples, and how sure its slope is.

/** A line through samples over time. */
export interface Growth {
  readonly mean: number;
  /** Of the line, per hour. */
  readonly perHour: number;
  /** Half the width of the slope's 95 % confidence interval, per hour, as for independent deviations. */
  readonly error: number;
}

const HOUR = 3600;

/** @param points - seconds and values, at least three */
export function growth(points: readonly (readonly [second: number, value: number])[]): Growth {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [time, value] = [mean(([at]) => at), mean(([, one]) => one)];
  const spread = points.reduce((sum, [at]) => sum + (at - time) ** 2, 0);
  const slope = points.reduce((sum, [at, one]) => sum + (at - time) * (one - value), 0) / spread;
  const rest = points.reduce((sum, [at, one]) => sum + (one - value - slope * (at - time)) ** 2, 0);
  const error = 1.96 * Math.sqrt(rest / Math.max(1, points.length - 2) / spread);
  return { mean: value, perHour: slope * HOUR, error: error * HOUR };
}
