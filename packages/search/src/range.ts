// The range of a column: whether its values differ at all, in any unit.

/** Differences up to this share of a column's size (64 units in the last place) are rounding, not variation. */
const ROUNDING = 2 ** -46;

/** Width of the range [low, high]; 0 where it is rounding only, relative to the size of its ends. */
export function widthOf(low: number, high: number): number {
  const width = high - low;
  return width > ROUNDING * Math.max(Math.abs(low), Math.abs(high)) ? width : 0;
}
