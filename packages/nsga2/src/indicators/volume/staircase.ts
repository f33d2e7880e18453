// The union of boxes [0, x] × [0, y]: a staircase of maximal corners, with its area, in memory that is used again.

/** Corners with x descending and y ascending. */
export class Staircase {
  private readonly xs: Float64Array;
  private readonly ys: Float64Array;
  private size = 0;
  /** Area of the union. */
  area = 0;

  /** @param capacity most corners at once */
  constructor(capacity: number) {
    this.xs = new Float64Array(capacity);
    this.ys = new Float64Array(capacity);
  }

  clear(): void {
    this.size = 0;
    this.area = 0;
  }

  /** Adds the box [0, x] × [0, y]. */
  add(x: number, y: number): void {
    const { xs, ys, size } = this;
    // Corners before `low` reach at least as far in x.
    let low = 0;
    let high = size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle]! >= x) low = middle + 1;
      else high = middle;
    }
    const floor = low > 0 ? ys[low - 1]! : 0;
    if (floor >= y) return;
    // The corners from `low` on that are no higher are covered; they are the ones with a smaller x.
    let end = low;
    let added = 0;
    let bottom = floor;
    while (end < size && ys[end]! <= y) {
      added += (x - xs[end]!) * (ys[end]! - bottom);
      bottom = ys[end]!;
      end++;
    }
    added += (x - (end < size ? xs[end]! : 0)) * (y - bottom);
    this.area += added;
    // A corner of the same x before this one is lower, and so is covered without area of its own.
    const start = low > 0 && xs[low - 1] === x ? low - 1 : low;
    if (end !== start + 1) {
      xs.copyWithin(start + 1, end, size);
      ys.copyWithin(start + 1, end, size);
      this.size = size + 1 - (end - start);
    }
    xs[start] = x;
    ys[start] = y;
  }
}
