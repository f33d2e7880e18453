// The range of a column: whether its values differ at all, in any unit.

/** Differences up to this share of a column's size (64 units in the last place) are rounding, not variation. */
const ROUNDING = 2 ** -46;

/** Whether values between `low` and `high` differ by rounding only. Relative to their size: seconds and nanoseconds are judged alike. */
export function isConstant(low: number, high: number): boolean {
  return !(high - low > ROUNDING * Math.max(Math.abs(low), Math.abs(high)));
}

/** The middle value; the mean of the middle two of an even number. */
export function medianOf(values: Float64Array): number {
  const sorted = values.toSorted();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : sorted[middle - 1]! / 2 + sorted[middle]! / 2;
}
