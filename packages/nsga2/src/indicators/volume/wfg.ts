// Hypervolume of nine objectives and more: exclusive volumes, limited set by limited set.
import { LocalBounds } from './local-bounds.ts';
import { descending } from './order.ts';

/** Objectives at which the recursion ends. */
export const WFG_BASE = 8;

/**
 * WFG (While, Bradstreet and Barone 2012): the sum of exclusive volumes, each the box of a point minus the volume of the
 * earlier ones limited to that box. Points are taken in descending order of the last gain, so that all limited points
 * share the last gain of the point and the recursion loses a dimension at every step, down to `WFG_BASE`, where local bounds are faster.
 */
export class Wfg {
  /** One buffer a level of the recursion. */
  private readonly limited: Float64Array[];
  private readonly sorted: Float64Array[];
  /** Limited points, the volumes of their boxes, and which of them are left. */
  private readonly boxes: Float64Array;
  private readonly sizes: Float64Array;
  private readonly live: Int32Array;
  private readonly base: LocalBounds;

  constructor(count: number, dimension: number) {
    const levels = Math.max(1, dimension - WFG_BASE);
    this.limited = Array.from({ length: levels }, () => new Float64Array(count * dimension));
    this.sorted = Array.from({ length: levels }, () => new Float64Array(count * dimension));
    this.boxes = new Float64Array(count * dimension);
    this.sizes = new Float64Array(count);
    this.live = new Int32Array(count);
    this.base = new LocalBounds(WFG_BASE - 1, count);
  }

  /** @param points [count, dimension], dimension > WFG_BASE */
  volume(points: Float64Array, count: number, dimension: number, level = 0): number {
    if (count === 0) return 0;
    if (count === 1) return product(points, 0, dimension);
    if (count === 2) return pair(points, dimension);
    if (dimension === WFG_BASE) return this.base.volume(points, count);
    const sorted = this.sorted[level]!;
    const order = descending(points, count, dimension, dimension - 1);
    for (let n = 0; n < count; n++) {
      for (let k = 0; k < dimension; k++) sorted[n * dimension + k] = points[order[n]! * dimension + k]!;
    }
    // Ordered by descending last gain, a point is limited by those before it: they reach at least as far in the last
    // objective, so after limiting they all agree there and it becomes a factor.
    let volume = 0;
    const lower = dimension - 1;
    const limited = this.limited[level]!;
    let end = 0;
    for (let at = 0; at < count * dimension; at += dimension) {
      const kept = this.limit(sorted, at, end, dimension, limited);
      if (kept < 0) continue;
      const box = product(sorted, at, lower);
      volume += sorted[at + lower]! * (box - this.volume(limited, kept, lower, level + 1));
      if (end < at) sorted.copyWithin(end, at, at + dimension);
      end += dimension;
    }
    return volume;
  }

  /**
   * The points before `end`, limited to the box of the one at an offset and without the last gain, that none of the others covers. The largest
   * box is never covered: it is kept, what it covers is dropped, and so on with the rest.
   *
   * @param limited written: the points that are kept [kept, dimension − 1]
   * @returns how many are kept; −1 where one covers the box
   */
  private limit(points: Float64Array, at: number, end: number, dimension: number, limited: Float64Array): number {
    const { boxes, sizes, live } = this;
    const lower = dimension - 1;
    const count = end / dimension;
    for (let i = 0; i < count; i++) {
      let size = 1;
      let isCovered = true;
      for (let k = 0; k < lower; k++) {
        const gain = points[i * dimension + k]!;
        const most = points[at + k]!;
        const isShort = gain < most;
        const reach = isShort ? gain : most;
        if (isShort) isCovered = false;
        boxes[i * lower + k] = reach;
        size *= reach;
      }
      if (isCovered) return -1;
      sizes[i] = size;
      live[i] = i;
    }
    let kept = 0;
    let left = count;
    while (left > 0) {
      let largest = 0;
      for (let j = 1; j < left; j++) if (sizes[live[j]!]! > sizes[live[largest]!]!) largest = j;
      const cover = live[largest]! * lower;
      for (let k = 0; k < lower; k++) limited[kept * lower + k] = boxes[cover + k]!;
      kept++;
      let still = 0;
      for (let j = 0; j < left; j++) {
        const i = live[j]!;
        let k = 0;
        while (k < lower && boxes[i * lower + k]! <= boxes[cover + k]!) k++;
        live[still] = i;
        if (k < lower) still++;
      }
      left = still;
    }
    return kept;
  }
}

/** Two boxes less what they share. */
function pair(points: Float64Array, dimension: number): number {
  let first = 1;
  let second = 1;
  let both = 1;
  for (let k = 0; k < dimension; k++) {
    const a = points[k]!;
    const b = points[dimension + k]!;
    first *= a;
    second *= b;
    both *= a < b ? a : b;
  }
  return first + second - both;
}

function product(points: Float64Array, offset: number, dimension: number): number {
  let result = 1;
  for (let k = 0; k < dimension; k++) result *= points[offset + k]!;
  return result;
}
