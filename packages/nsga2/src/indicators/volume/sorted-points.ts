// Points (x, y, z) that none of the others covers, kept in order of one gain.

export class SortedPoints {
  /** x, y, z of each. */
  readonly values: Float64Array;
  private readonly column: 0 | 2;
  size = 0;

  /** @param capacity most points @param column 0 for x, 2 for z, descending */
  constructor(capacity: number, column: 0 | 2) {
    this.values = new Float64Array(3 * capacity);
    this.column = column;
  }

  /** Index of the first point whose gain in the column is no more than `most`. */
  firstUpTo(most: number): number {
    const { values, column } = this;
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[3 * middle + column]! > most) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds a point that is no larger in the column than any here. */
  append(x: number, y: number, z: number): void {
    const at = 3 * this.size++;
    this.values[at] = x;
    this.values[at + 1] = y;
    this.values[at + 2] = z;
  }

  /** Adds a point that none here covers, and drops those it covers. */
  insert(x: number, y: number, z: number): void {
    const { values, size } = this;
    // Those before are larger in the column, so none of them is covered.
    const place = 3 * this.firstUpTo(this.column === 0 ? x : z);
    let kept = place;
    for (let at = place; at < 3 * size; at += 3) {
      if (values[at]! <= x && values[at + 1]! <= y && values[at + 2]! <= z) continue;
      if (kept < at) {
        values[kept] = values[at]!;
        values[kept + 1] = values[at + 1]!;
        values[kept + 2] = values[at + 2]!;
      }
      kept += 3;
    }
    values.copyWithin(place + 3, place, kept);
    values[place] = x;
    values[place + 1] = y;
    values[place + 2] = z;
    this.size = kept / 3 + 1;
  }
}
