// The range of a column: whether its values differ at all, and where in it a value lies, in any unit.

/** Differences up to this share of a column's size (64 units in the last place) are rounding, not variation. */
export const ROUNDING = 2 ** -46;

/**
 * Width of the range [low, high]; 0 where it is rounding only. Relative to the size of the ends, so that metres and
 * nanometres are judged alike.
 */
export function widthOf(low: number, high: number): number {
  const width = high - low;
  return width > ROUNDING * Math.max(Math.abs(low), Math.abs(high)) ? width : 0;
}

/** Part of the range that lies between two of its values, 0 to 1; 0 where the range is rounding only. */
export function shareOf(from: number, to: number, low: number, high: number): number {
  const width = widthOf(low, high);
  if (width === 0) return 0;
  // Halves of finite numbers have a finite difference.
  return width === Infinity ? (to / 2 - from / 2) / (high / 2 - low / 2) : (to - from) / width;
}
