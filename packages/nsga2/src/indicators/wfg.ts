// Hypervolume kernels. Points are gains over the reference: all positive, larger is better.

/** Two objectives: sweep by descending first gain. */
export function hypervolume2(gains: Float64Array, count: number): number {
  const order = descending(gains, count, 2, 0);
  let height = 0;
  let volume = 0;
  for (const i of order) {
    const y = gains[2 * i + 1]!;
    if (y > height) {
      volume += gains[2 * i]! * (y - height);
      height = y;
    }
  }
  return volume;
}

/**
 * Three objectives: planes by descending third gain; each point adds its step to the staircase of the first two gains,
 * whose area is kept up to date, and the area is integrated over the third (Fonseca, Paquete and López-Ibáñez 2006).
 */
export function hypervolume3(gains: Float64Array, count: number): number {
  const order = descending(gains, count, 3, 2);
  // The staircase: x descending, y ascending.
  const xs: number[] = [];
  const ys: number[] = [];
  let area = 0;
  let volume = 0;
  for (let n = 0; n < count; n++) {
    const i = order[n]!;
    area += climb(xs, ys, gains[3 * i]!, gains[3 * i + 1]!);
    const below = n + 1 < count ? gains[3 * order[n + 1]! + 2]! : 0;
    volume += area * (gains[3 * i + 2]! - below);
  }
  return volume;
}

/** Adds a step to the staircase; returns the area it adds. */
function climb(xs: number[], ys: number[], x: number, y: number): number {
  // Steps before `place` reach further in x.
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle]! >= x) low = middle + 1;
    else high = middle;
  }
  const floor = low > 0 ? ys[low - 1]! : 0;
  if (floor >= y) return 0;
  // The steps from `low` on that are no higher are swallowed; they are the ones with a smaller x.
  let end = low;
  let added = 0;
  let bottom = floor;
  while (end < ys.length && ys[end]! <= y) {
    added += (x - xs[end]!) * (ys[end]! - bottom);
    bottom = ys[end]!;
    end++;
  }
  added += (x - (end < xs.length ? xs[end]! : 0)) * (y - bottom);
  // A step of the same x before this one is lower, and so is swallowed without area of its own.
  const start = low > 0 && xs[low - 1] === x ? low - 1 : low;
  xs.splice(start, end - start, x);
  ys.splice(start, end - start, y);
  return added;
}

/**
 * Four objectives: points by descending fourth gain, each adding what it dominates alone in the first three. That is its
 * box minus the volume of the earlier points limited to the box, one sweep over a list kept in order of the third gain,
 * which limiting does not change. O(N² log N) at worst.
 */
export function hypervolume4(gains: Float64Array, count: number): number {
  const order = descending(gains, count, 4, 3);
  // Earlier points that are maximal in the first three gains, by descending third gain: x, y, z of each.
  const list = new Float64Array(3 * count);
  let size = 0;
  let volume = 0;
  for (const i of order) {
    const x = gains[4 * i]!;
    const y = gains[4 * i + 1]!;
    const z = gains[4 * i + 2]!;
    const alone = x * y * z - limitedVolume(list, size, x, y, z);
    volume += alone * gains[4 * i + 3]!;
    size = insertByThird(list, size, x, y, z);
  }
  return volume;
}

/** Volume of the listed points limited to the box (x, y, z). */
function limitedVolume(list: Float64Array, size: number, x: number, y: number, z: number): number {
  const xs: number[] = [];
  const ys: number[] = [];
  const full = x * y;
  let area = 0;
  let level = z;
  let volume = 0;
  for (let n = 0; n < 3 * size; n += 3) {
    const depth = list[n + 2]! < z ? list[n + 2]! : z;
    if (depth < level) {
      volume += area * (level - depth);
      level = depth;
    }
    const across = list[n]! < x ? list[n]! : x;
    const up = list[n + 1]! < y ? list[n + 1]! : y;
    if (across === x && up === y) return volume + full * level;
    area += climb(xs, ys, across, up);
  }
  return volume + area * level;
}

/** Adds a point to the list unless it is covered, and drops those it covers. Returns the new size. */
function insertByThird(list: Float64Array, size: number, x: number, y: number, z: number): number {
  let place = 0;
  while (place < size && list[3 * place + 2]! >= z) {
    if (list[3 * place]! >= x && list[3 * place + 1]! >= y) return size;
    place++;
  }
  // Of those before, only the ones of the same third gain can be covered.
  let start = place;
  while (start > 0 && list[3 * start - 1] === z) start--;
  let kept = start;
  for (let n = start; n < place; n++) {
    if (list[3 * n]! <= x && list[3 * n + 1]! <= y) continue;
    list.copyWithin(3 * kept, 3 * n, 3 * n + 3);
    kept++;
  }
  const rest = list.slice(3 * place, 3 * size);
  list[3 * kept] = x;
  list[3 * kept + 1] = y;
  list[3 * kept + 2] = z;
  kept++;
  for (let n = 0; n < rest.length; n += 3) {
    if (rest[n]! <= x && rest[n + 1]! <= y) continue;
    list.set(rest.subarray(n, n + 3), 3 * kept);
    kept++;
  }
  return kept;
}

/**
 * WFG (While, Bradstreet and Barone 2012): the sum of exclusive volumes, each the box of a point minus the volume of the
 * earlier ones limited to that box. Points are taken in descending order of the last gain, so that all limited points
 * share the last gain of the point and the recursion loses a dimension at every step, down to four.
 */
export function wfg(gains: Float64Array, count: number, dimension: number): number {
  return new Wfg(count, dimension).volume(gains, count, dimension, 0);
}

class Wfg {
  /** One buffer a level of the recursion. */
  private readonly limited: Float64Array[];
  private readonly sorted: Float64Array[];
  private readonly stride: number;

  constructor(count: number, dimension: number) {
    this.stride = dimension;
    const levels = Math.max(1, dimension - 4);
    this.limited = Array.from({ length: levels }, () => new Float64Array(count * dimension));
    this.sorted = Array.from({ length: levels }, () => new Float64Array(count * dimension));
  }

  volume(points: Float64Array, count: number, dimension: number, level: number): number {
    if (count === 0) return 0;
    if (dimension === 4) return hypervolume4(points, count);
    if (count === 1) return product(points, 0, dimension);
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
    for (let n = 0; n < count; n++) {
      const at = n * dimension;
      let kept = 0;
      for (let i = 0; i < n; i++) {
        const from = i * dimension;
        const to = kept * lower;
        for (let k = 0; k < lower; k++) {
          const gain = sorted[from + k]!;
          const limit = sorted[at + k]!;
          limited[to + k] = gain < limit ? gain : limit;
        }
        kept = keepMaximal(limited, kept, lower);
      }
      const box = product(sorted, at, lower);
      volume += sorted[at + lower]! * (box - this.volume(limited, kept, lower, level + 1));
    }
    return volume;
  }
}

/** Keeps the set free of points that another covers; the candidate is at position `count`. Returns the new count. */
function keepMaximal(points: Float64Array, count: number, dimension: number): number {
  const candidate = count * dimension;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const at = i * dimension;
    let covers = true;
    let covered = true;
    for (let k = 0; k < dimension; k++) {
      const difference = points[at + k]! - points[candidate + k]!;
      if (difference < 0) covers = false;
      else if (difference > 0) covered = false;
    }
    if (covers) return count;
    if (covered) continue;
    if (kept < i) points.copyWithin(kept * dimension, at, at + dimension);
    kept++;
  }
  points.copyWithin(kept * dimension, candidate, candidate + dimension);
  return kept + 1;
}

function product(points: Float64Array, offset: number, dimension: number): number {
  let result = 1;
  for (let k = 0; k < dimension; k++) result *= points[offset + k]!;
  return result;
}

/** Rows by descending column. */
function descending(gains: Float64Array, count: number, dimension: number, column: number): Int32Array {
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  return order.sort((i, j) => gains[j * dimension + column]! - gains[i * dimension + column]! || i - j);
}
