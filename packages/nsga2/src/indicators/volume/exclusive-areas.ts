// What each point dominates alone in two and three objectives, of all points in one sweep. Points are gains: all positive, larger is better.
import { descending } from './order.ts';

/**
 * A staircase of boxes [0, x] × [0, y] that knows the area that each of its corners has alone: the rectangle between its neighbours less the boxes
 * of the points that it covers there and no other corner does. Points come by descending level; an area times the levels it lasts is the
 * volume that a point dominates alone (after Emmerich and Fonseca 2011).
 */
class ExclusiveAreas {
  private readonly gains: Float64Array;
  private readonly stride: number;
  /** Rows of the corners, x descending and y ascending. */
  private readonly corners: Int32Array;
  private size = 0;
  /** Of each corner, the points that it alone covers and none of them another, as a list: x descending and y ascending; −1 ends it. */
  private readonly first: Int32Array;
  private readonly next: Int32Array;
  private readonly areas: Float64Array;
  /** Levels down to which areas are counted. */
  private readonly levels: Float64Array;
  private readonly volumes: Float64Array;

  /** @param gains x and y first [count, stride] @param volumes added to: what each point has alone */
  constructor(gains: Float64Array, stride: number, volumes: Float64Array) {
    const count = volumes.length;
    this.gains = gains;
    this.stride = stride;
    this.volumes = volumes;
    this.corners = new Int32Array(count);
    this.first = new Int32Array(count).fill(-1);
    this.next = new Int32Array(count);
    this.areas = new Float64Array(count);
    this.levels = new Float64Array(count);
  }

  /** Adds a point at a level that is no higher than any before. */
  add(row: number, level: number): void {
    const { corners, size } = this;
    const x = this.x(row);
    const y = this.y(row);
    // Corners before `low` reach at least as far in x.
    let low = 0;
    let high = size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x(corners[middle]!) >= x) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && this.y(corners[low - 1]!) >= y) {
      if (low > 1 && this.y(corners[low - 2]!) >= y) return;
      this.count(corners[low - 1]!, level);
      this.cover(corners[low - 1]!, row);
      this.measure(low - 1);
      return;
    }
    const start = low > 0 && this.x(corners[low - 1]!) === x ? low - 1 : low;
    let end = start;
    for (let last = -1; end < size && this.y(corners[end]!) <= y; end++) {
      const covered = corners[end]!;
      this.count(covered, level);
      if (last < 0) this.first[row] = covered;
      else this.next[last] = covered;
      this.next[covered] = -1;
      last = covered;
    }
    if (end !== start + 1) {
      corners.copyWithin(start + 1, end, size);
      this.size = size + 1 - (end - start);
    }
    corners[start] = row;
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

  private x(row: number): number {
    return this.gains[row * this.stride]!;
  }

  private y(row: number): number {
    return this.gains[row * this.stride + 1]!;
  }

  private count(corner: number, level: number): void {
    this.volumes[corner]! += this.areas[corner]! * (this.levels[corner]! - level);
    this.levels[corner] = level;
  }

  /** Puts a point into the list of a corner, unless one there covers it, in place of those it covers. */
  private cover(corner: number, row: number): void {
    const { first, next } = this;
    const x = this.x(row);
    const y = this.y(row);
    let before = -1;
    let after = first[corner]!;
    while (after >= 0 && this.x(after) > x) {
      if (this.y(after) >= y) return;
      before = after;
      after = next[after]!;
    }
    if (after >= 0 && this.x(after) === x && this.y(after) >= y) return;
    while (after >= 0 && this.y(after) <= y) after = next[after]!;
    next[row] = after;
    if (before < 0) first[corner] = row;
    else next[before] = row;
  }

  /** Drops the points of a corner that reach no farther than its next corner's x. */
  private cutRight(corner: number, x: number): void {
    let before = -1;
    let at = this.first[corner]!;
    while (at >= 0 && this.x(at) > x) {
      before = at;
      at = this.next[at]!;
    }
    if (before < 0) this.first[corner] = -1;
    else this.next[before] = -1;
  }

  /** Drops the points of a corner that are no higher than the y of the corner before. */
  private cutBelow(corner: number, y: number): void {
    let at = this.first[corner]!;
    while (at >= 0 && this.y(at) <= y) at = this.next[at]!;
    this.first[corner] = at;
  }

  /** The area that the corner at a place has alone: columns from the right, each above the point that reaches into it. */
  private measure(place: number): void {
    const corner = this.corners[place]!;
    const top = this.y(corner);
    let right = this.x(corner);
    let floor = place > 0 ? this.y(this.corners[place - 1]!) : 0;
    let area = 0;
    for (let at = this.first[corner]!; at >= 0; at = this.next[at]!) {
      const x = this.x(at);
      area += (right - x) * (top - floor);
      right = x;
      floor = this.y(at);
    }
    this.areas[corner] =
      area + (right - (place + 1 < this.size ? this.x(this.corners[place + 1]!) : 0)) * (top - floor);
  }
}

/** What each point dominates alone, 0 for those that another covers. @param gains [count, dimension] @param dimension 2 or 3 */
export function exclusiveVolumes(gains: Float64Array, count: number, dimension: number): Float64Array {
  const volumes = new Float64Array(count);
  const areas = new ExclusiveAreas(gains, dimension, volumes);
  for (const row of descending(gains, count, dimension, dimension - 1))
    areas.add(row, dimension === 2 ? 1 : gains[3 * row + 2]!);
  areas.finish();
  return volumes;
}
