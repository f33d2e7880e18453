// Points of four gains that none of the others covers, kept in order of one gain.

export class SortedRows {
  /** Four gains of each. */
  readonly values: Float64Array;
  private readonly column: 2 | 3;
  size = 0;

  /** @param capacity most points @param column by which they descend */
  constructor(capacity: number, column: 2 | 3) {
    this.values = new Float64Array(4 * capacity);
    this.column = column;
  }

  /** Index of the first point whose gain in the column is less. */
  firstBelow(gain: number): number {
    const { values, column } = this;
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[4 * middle + column]! >= gain) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds a point that none here covers, and drops those it covers. */
  insert(x: number, y: number, z: number, w: number): void {
    const { values, column } = this;
    const gain = column === 2 ? z : w;
    let place = 4 * this.firstBelow(gain);
    // Those that are as large in the column may be covered, too.
    while (place > 0 && values[place - 4 + column]! === gain) place -= 4;
    const end = 4 * this.size;
    let kept = place;
    for (let at = place; at < end; at += 4) {
      if (values[at]! <= x && values[at + 1]! <= y && values[at + 2]! <= z && values[at + 3]! <= w) continue;
      if (kept < at) {
        values[kept] = values[at]!;
        values[kept + 1] = values[at + 1]!;
        values[kept + 2] = values[at + 2]!;
        values[kept + 3] = values[at + 3]!;
      }
      kept += 4;
    }
    values.copyWithin(place + 4, place, kept);
    values[place] = x;
    values[place + 1] = y;
    values[place + 2] = z;
    values[place + 3] = w;
    this.size = kept / 4 + 1;
  }
}
