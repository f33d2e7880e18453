// What each point dominates alone in two and three objectives, of all points in one sweep. Points are gains: all positive, larger is better.
import { descending } from './order.ts';

/**
 * A staircase of boxes [0, x] × [0, y] that knows the area that each of its corners has alone: the rectangle between its neighbours less the boxes
 * of the points that it covers there and no other corner does. Points come by descending level; an area times the levels it lasts is the
 * volume that a point dominates alone (after Emmerich and Fonseca 2011).
 */
class ExclusiveAreas {
  /** Of each row. */
  private readonly xs: Float64Array;
  private readonly ys: Float64Array;
  /** Rows of the corners, x descending and y ascending. */
  private readonly corners: Int32Array;
  /** Of each corner, side by side: where a point belongs is searched for in them. */
  private readonly cornerXs: Float64Array;
  private readonly cornerYs: Float64Array;
  private size = 0;
  /** Of each corner, the points that it alone covers and none of them another, as a list: x descending and y ascending; −1 ends it. */
  private readonly first: Int32Array;
  private readonly next: Int32Array;
  private readonly areas: Float64Array;
  /** Levels down to which areas are counted. */
  private readonly levels: Float64Array;
  private readonly volumes: Float64Array;

  /** @param gains [count, 3] @param volumes added to: what each point has alone */
  constructor(gains: Float64Array, volumes: Float64Array) {
    const count = volumes.length;
    this.xs = new Float64Array(count);
    this.ys = new Float64Array(count);
    for (let row = 0; row < count; row++) {
      this.xs[row] = gains[3 * row]!;
      this.ys[row] = gains[3 * row + 1]!;
    }
    this.volumes = volumes;
    this.corners = new Int32Array(count);
    this.cornerXs = new Float64Array(count);
    this.cornerYs = new Float64Array(count);
    this.first = new Int32Array(count).fill(-1);
    this.next = new Int32Array(count);
    this.areas = new Float64Array(count);
    this.levels = new Float64Array(count);
  }

  /** Adds a point at a level that is no higher than any before. */
  add(row: number, level: number): void {
    const { corners, cornerXs, cornerYs, size, next } = this;
    const x = this.xs[row]!;
    const y = this.ys[row]!;
    // Corners before `low` reach at least as far in x.
    let low = 0;
    let high = size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cornerXs[middle]! >= x) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && cornerYs[low - 1]! >= y) {
      if (low > 1 && cornerYs[low - 2]! >= y) return;
      this.count(corners[low - 1]!, level);
      this.cover(corners[low - 1]!, row);
      this.measure(low - 1);
      return;
    }
    const start = low > 0 && cornerXs[low - 1] === x ? low - 1 : low;
    let end = start;
    for (let last = -1; end < size && cornerYs[end]! <= y; end++) {
      const covered = corners[end]!;
      this.count(covered, level);
      if (last < 0) this.first[row] = covered;
      else next[last] = covered;
      next[covered] = -1;
      last = covered;
    }
    if (end !== start + 1) {
      corners.copyWithin(start + 1, end, size);
      cornerXs.copyWithin(start + 1, end, size);
      cornerYs.copyWithin(start + 1, end, size);
      this.size = size + 1 - (end - start);
    }
    corners[start] = row;
    cornerXs[start] = x;
    cornerYs[start] = y;
    this.levels[row] = level;
    this.measure(start);
    if (start > 0) {
      this.count(corners[start - 1]!, level);
      this.cutRight(corners[start - 1]!, x);
      this.measure(start - 1);
    }
    if (start + 1 < this.size) {
      this.count(corners[start + 1]!, level);
      this.cutBelow(corners[start + 1]!, y);
      this.measure(start + 1);
    }
  }

  /** Counts what is left, down to level 0. */
  finish(): void {
    for (let place = 0; place < this.size; place++) this.count(this.corners[place]!, 0);
  }

  private count(corner: number, level: number): void {
    this.volumes[corner]! += this.areas[corner]! * (this.levels[corner]! - level);
    this.levels[corner] = level;
  }

  /** Puts a point into the list of a corner, unless one there covers it, in place of those it covers. */
  private cover(corner: number, row: number): void {
    const { first, next, xs, ys } = this;
    const x = xs[row]!;
    const y = ys[row]!;
    let before = -1;
    let after = first[corner]!;
    while (after >= 0 && xs[after]! > x) {
      if (ys[after]! >= y) return;
      before = after;
      after = next[after]!;
    }
    if (after >= 0 && xs[after]! === x && ys[after]! >= y) return;
    while (after >= 0 && ys[after]! <= y) after = next[after]!;
    next[row] = after;
    if (before < 0) first[corner] = row;
    else next[before] = row;
  }

  /** Drops the points of a corner that reach no farther than its next corner's x. */
  private cutRight(corner: number, x: number): void {
    const { next, xs } = this;
    let before = -1;
    let at = this.first[corner]!;
    while (at >= 0 && xs[at]! > x) {
      before = at;
      at = next[at]!;
    }
    if (before < 0) this.first[corner] = -1;
    else next[before] = -1;
  }

  /** Drops the points of a corner that are no higher than the y of the corner before. */
  private cutBelow(corner: number, y: number): void {
    const { next, ys } = this;
    let at = this.first[corner]!;
    while (at >= 0 && ys[at]! <= y) at = next[at]!;
    this.first[corner] = at;
  }

  /** The area that the corner at a place has alone: columns from the right, each above the point that reaches into it. */
  private measure(place: number): void {
    const { xs, ys, next } = this;
    const corner = this.corners[place]!;
    const top = this.cornerYs[place]!;
    let right = this.cornerXs[place]!;
    let floor = place > 0 ? this.cornerYs[place - 1]! : 0;
    let area = 0;
    for (let at = this.first[corner]!; at >= 0; at = next[at]!) {
      const x = xs[at]!;
      area += (right - x) * (top - floor);
      right = x;
      floor = ys[at]!;
    }
    const left = place + 1 < this.size ? this.cornerXs[place + 1]! : 0;
    this.areas[corner] = area + (right - left) * (top - floor);
  }
}

/**
 * What each point dominates alone in three objectives, 0 for those that another covers.
 *
 * @param gains [count, 3]
 */
export function exclusiveVolumes(gains: Float64Array, count: number): Float64Array {
  const volumes = new Float64Array(count);
  const areas = new ExclusiveAreas(gains, volumes);
  for (const row of descending(gains, count, 3, 2)) areas.add(row, gains[3 * row + 2]!);
  areas.finish();
  return volumes;
}

/**
 * What each point dominates alone in two objectives, 0 for those that another covers: by descending y, a corner has the rows down to the next corner,
 * right of the corner before and of what it alone covers.
 *
 * @param gains [count, 2]
 */
export function exclusiveAreas(gains: Float64Array, count: number): Float64Array {
  const areas = new Float64Array(count);
  let corner = -1;
  let right = 0;
  // Right of this, and from `bottom` upwards, the corner's area is counted.
  let left = 0;
  let bottom = 0;
  for (const row of descending(gains, count, 2, 1)) {
    const x = gains[2 * row]!;
    if (x <= left) continue;
    const y = gains[2 * row + 1]!;
    if (corner >= 0) areas[corner]! += (bottom - y) * (right - left);
    bottom = y;
    if (x <= right) left = x;
    else {
      corner = row;
      left = right;
      right = x;
    }
  }
  if (corner >= 0) areas[corner]! += bottom * (right - left);
  return areas;
}
