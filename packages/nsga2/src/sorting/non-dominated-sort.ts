// Non-dominated sorting: sweeps for 1–3 objectives, bitsets of dominators beyond.
import { rankByBitsets } from './bitset-sort.ts';
import { lexicographicOrder, sameRow } from './order.ts';
import { flatten, type Points } from './points.ts';

/** Fronts of a set of points. */
export interface NonDominatedSort {
  /** Front of each point, 0 the best. */
  readonly ranks: Int32Array;
  /** Indices of each front, ascending. */
  readonly fronts: readonly Int32Array[];
}

/**
 * Sorts points into fronts: front 0 is dominated by nobody, front k only by members of earlier fronts.
 *
 * Points are visited in lexicographic order, so a point can only be dominated by earlier ones, and "is dominated by a
 * member of front k" is monotone in k: the front is found by binary search. With two objectives a front is one number,
 * with three a staircase searched by bisection: O(N log N) and O(N log² N). Beyond that the dominators of a point are
 * intersected as bitsets: O(MN log N) plus O(MN²/32) word operations.
 *
 * @param points N vectors of M objectives, minimised; ±Infinity allowed, NaN is an error
 * @throws Nsga2Error `invalid-points` on ragged vectors or NaN
 *
 * @example
 * ```ts
 * import { nonDominatedSort } from '@instatune/nsga2';
 * console.log(nonDominatedSort([[1, 1], [2, 2], [0, 3]]).ranks); // => Int32Array(3) [ 0, 1, 0 ]
 * ```
 */
export function nonDominatedSort(points: Points): NonDominatedSort {
  const { values, count, dimension } = flatten(points);
  const { ranks, fronts } = rankPoints(values, count, dimension);
  const sizes = new Int32Array(fronts);
  for (let i = 0; i < count; i++) sizes[ranks[i]!]!++;
  const lists = Array.from(sizes, (size) => new Int32Array(size));
  const filled = new Int32Array(fronts);
  for (let i = 0; i < count; i++) {
    const rank = ranks[i]!;
    lists[rank]![filled[rank]!++] = i;
  }
  return { ranks, fronts: lists };
}

/**
 * Ranks of the rows of a flat matrix.
 *
 * @param limit points behind this many fronts all get rank `limit` (they need no exact front)
 */
export function rankPoints(
  values: Float64Array,
  count: number,
  dimension: number,
  limit: number = Infinity,
): { ranks: Int32Array; fronts: number } {
  const ranks = new Int32Array(count);
  if (count === 0) return { ranks, fronts: 0 };
  const order = lexicographicOrder(values, count, dimension);
  if (dimension > 3) return rankMany(values, dimension, order, limit, ranks);
  const fronts: Fronts =
    dimension <= 1 ? new LineFronts() : dimension === 2 ? new FlatFronts(values) : new StairFronts(values);
  let previous = -1;
  let worst = 0;
  for (let n = 0; n < count; n++) {
    const i = order[n]!;
    if (previous >= 0 && sameRow(values, dimension, previous, i)) {
      // Equal points do not dominate each other, and the sweeps below would say they do.
      ranks[i] = ranks[previous]!;
      continue;
    }
    previous = i;
    let low = 0;
    let high = fronts.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (fronts.dominates(middle, i)) low = middle + 1;
      else high = middle;
    }
    ranks[i] = low;
    if (low < limit) fronts.add(low, i);
    if (low > worst) worst = low;
  }
  return { ranks, fronts: worst + 1 };
}

/** Four objectives and more: copies are left out, ranked by their first, and put back. */
function rankMany(
  values: Float64Array,
  dimension: number,
  order: Int32Array,
  limit: number,
  ranks: Int32Array,
): { ranks: Int32Array; fronts: number } {
  const different = order.filter((row, n) => n === 0 || !sameRow(values, dimension, order[n - 1]!, row));
  const found = rankByBitsets(values, dimension, different, limit);
  let at = -1;
  let worst = 0;
  for (const row of order) {
    if (at + 1 < different.length && different[at + 1] === row) at++;
    ranks[row] = found[at]!;
    if (found[at]! > worst) worst = found[at]!;
  }
  return { ranks, fronts: worst + 1 };
}

/** The fronts found so far, asked in lexicographic order of the points. */
interface Fronts {
  readonly size: number;
  /** True when a member of the front dominates point i. */
  dominates(front: number, i: number): boolean;
  /** Adds point i to the front, opening it where it is the next one. */
  add(front: number, i: number): void;
}

/** One objective: every different value is a front of its own. */
class LineFronts implements Fronts {
  size = 0;
  dominates(): boolean {
    return true;
  }
  add(): void {
    this.size++;
  }
}

/** Two objectives: the last member of a front has its smallest second objective. */
class FlatFronts implements Fronts {
  private readonly values: Float64Array;
  private readonly least: number[] = [];

  constructor(values: Float64Array) {
    this.values = values;
  }

  get size(): number {
    return this.least.length;
  }

  dominates(front: number, i: number): boolean {
    return this.least[front]! <= this.values[2 * i + 1]!;
  }

  add(front: number, i: number): void {
    this.least[front] = this.values[2 * i + 1]!;
  }
}

/** Three objectives: a front is a staircase in the second (ascending) and third (descending) objective. */
class StairFronts implements Fronts {
  private readonly values: Float64Array;
  private readonly seconds: number[][] = [];
  private readonly thirds: number[][] = [];

  constructor(values: Float64Array) {
    this.values = values;
  }

  get size(): number {
    return this.seconds.length;
  }

  dominates(front: number, i: number): boolean {
    const step = upperBound(this.seconds[front]!, this.values[3 * i + 1]!) - 1;
    return step >= 0 && this.thirds[front]![step]! <= this.values[3 * i + 2]!;
  }

  add(front: number, i: number): void {
    const second = this.values[3 * i + 1]!;
    const third = this.values[3 * i + 2]!;
    const seconds = (this.seconds[front] ??= []);
    const thirds = (this.thirds[front] ??= []);
    let place = upperBound(seconds, second);
    if (place > 0 && seconds[place - 1] === second) place--;
    let end = place;
    while (end < thirds.length && thirds[end]! >= third) end++;
    seconds.splice(place, end - place, second);
    thirds.splice(place, end - place, third);
  }
}

/** First position whose value is greater than the key. */
function upperBound(sorted: readonly number[], key: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}
