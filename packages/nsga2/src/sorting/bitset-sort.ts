// Non-dominated sorting for four objectives and more, by bitsets of dominators.
import { sortByColumn } from './crowding.ts';

/** Rows whose dominators are held at a time: bounds the memory to ROWS · N / 8 bytes. */
const ROWS = 2048;

/**
 * Fronts of different points in lexicographic order.
 *
 * In that order only earlier points can dominate a point, and they do where they are no worse in the other objectives.
 * "No worse in objective k" is a prefix of the points sorted by k, so the dominators of a point are the intersection of
 * M − 1 prefixes, as bitsets (the idea of Moreno, Rodriguez, Nebro and Lozano 2020). The front is then found by binary
 * search, asking of each front whether it has a member among the dominators. O(MN²/32) word operations at worst,
 * whatever the shape of the fronts.
 *
 * @param values rows of `dimension` objectives
 * @param order different rows in ascending lexicographic order
 * @param limit points behind this many fronts all get rank `limit`
 * @returns the rank of each position of `order`
 */
export function rankByBitsets(values: Float64Array, dimension: number, order: Int32Array, limit: number): Int32Array {
  const count = order.length;
  const words = (count + 31) >> 5;
  const ranks = new Int32Array(count);
  const positions = new Int32Array(count);
  for (let n = 0; n < count; n++) positions[n] = n;
  const sorted = new Float64Array(count * dimension);
  for (let n = 0; n < count; n++) {
    for (let k = 0; k < dimension; k++) sorted[n * dimension + k] = values[order[n]! * dimension + k]!;
  }
  const byColumn = Array.from({ length: dimension }, (_, k) => {
    if (k === 0) return positions;
    const column = positions.slice();
    sortByColumn(column, sorted, dimension, k);
    return column;
  });
  const fronts: Uint32Array[] = [];
  const rows = Math.min(ROWS, count);
  const dominators = new Uint32Array(rows * words);
  const seen = new Uint32Array(words);
  for (let start = 0; start < count; start += rows) {
    const end = Math.min(count, start + rows);
    for (let n = start; n < end; n++) fillPrefix(dominators, (n - start) * words, words, n);
    for (let k = 1; k < dimension; k++) {
      seen.fill(0);
      const column = byColumn[k]!;
      let next = 0;
      for (let at = 0; at < count; at++) {
        const n = column[at]!;
        // Everybody up to this value is no worse, those of the same value included.
        const value = sorted[n * dimension + k]!;
        while (next < count && sorted[column[next]! * dimension + k]! <= value) {
          const other = column[next++]!;
          seen[other >> 5]! |= 1 << (other & 31);
        }
        if (n < start || n >= end) continue;
        const offset = (n - start) * words;
        for (let w = n >> 5; w >= 0; w--) dominators[offset + w]! &= seen[w]!;
      }
    }
    for (let n = start; n < end; n++) {
      const offset = (n - start) * words;
      let low = 0;
      let high = fronts.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (meets(fronts[middle]!, dominators, offset, n >> 5)) low = middle + 1;
        else high = middle;
      }
      ranks[n] = low;
      if (low >= limit) continue;
      const front = (fronts[low] ??= new Uint32Array(words));
      front[n >> 5]! |= 1 << (n & 31);
    }
  }
  return ranks;
}

/** Sets the bits 0 … n − 1 of the row and clears the others. */
function fillPrefix(bits: Uint32Array, offset: number, words: number, n: number): void {
  const whole = n >> 5;
  bits.fill(0xffffffff, offset, offset + whole);
  if (whole < words) bits[offset + whole] = 2 ** (n & 31) - 1;
  bits.fill(0, offset + whole + 1, offset + words);
}

/** Whether the sets share a bit in the words 0 … last; the latest, likeliest ones first. */
function meets(front: Uint32Array, dominators: Uint32Array, offset: number, last: number): boolean {
  for (let w = last; w >= 0; w--) if ((front[w]! & dominators[offset + w]!) !== 0) return true;
  return false;
}
