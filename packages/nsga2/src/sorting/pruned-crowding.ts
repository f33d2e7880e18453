// Iteratively pruned crowding: drops the most crowded point, updates its neighbours, repeats.
import { shareOf, widthOf } from '../range.ts';
import { crowdRows, firstOfEach, sortByColumn } from './crowding.ts';

/**
 * Chooses `keep` of the rows `members` by removing the most crowded one at a time (Kukkonen and Deb 2006), instead of all
 * at once by distances that stop being true after the first removal. Copies of other rows go first.
 *
 * Neighbours are kept as a linked list per objective, so a removal updates 2·M distances; the search for the smallest
 * distance is linear: O(n·(n − keep) + M·n log n).
 *
 * @param distances receives the crowding distance of the survivors, at their row numbers
 * @returns the surviving rows in ascending order
 */
export function pruneByCrowding(
  values: Float64Array,
  dimension: number,
  members: Int32Array,
  keep: number,
  distances: Float64Array,
): Int32Array {
  const unique = firstOfEach(values, dimension, members).slice();
  if (unique.length <= keep) {
    const kept = new Set(unique);
    const copies = members.filter((member) => !kept.has(member)).subarray(0, keep - unique.length);
    const all = Int32Array.from([...unique, ...copies]).sort();
    crowdRows(values, dimension, all, distances);
    return all;
  }
  const size = unique.length;
  const alive = new Uint8Array(size).fill(1);
  const previous: Int32Array[] = [];
  const following: Int32Array[] = [];
  const lows = new Float64Array(dimension);
  const highs = new Float64Array(dimension);
  const scales = new Float64Array(dimension);
  const rank = new Map<number, number>();
  unique.forEach((row, index) => rank.set(row, index));
  for (let k = 0; k < dimension; k++) {
    const order = unique.slice();
    sortByColumn(order, values, dimension, k);
    const before = new Int32Array(size).fill(-1);
    const after = new Int32Array(size).fill(-1);
    for (let n = 0; n < size; n++) {
      const index = rank.get(order[n]!)!;
      if (n > 0) before[index] = rank.get(order[n - 1]!)!;
      if (n < size - 1) after[index] = rank.get(order[n + 1]!)!;
    }
    previous.push(before);
    following.push(after);
    lows[k] = values[order[0]! * dimension + k]!;
    highs[k] = values[order[size - 1]! * dimension + k]!;
    scales[k] = widthOf(lows[k]!, highs[k]!) * dimension;
  }
  const crowding = new Float64Array(size);
  const measure = (index: number): number => {
    let sum = 0;
    for (let k = 0; k < dimension; k++) {
      if (scales[k] === 0) continue;
      const before = previous[k]![index]!;
      const after = following[k]![index]!;
      if (before < 0 || after < 0) return Infinity;
      const low = values[unique[before]! * dimension + k]!;
      const high = values[unique[after]! * dimension + k]!;
      sum += scales[k]! < Infinity ? (high - low) / scales[k]! : shareOf(low, high, lows[k]!, highs[k]!) / dimension;
    }
    return sum;
  };
  for (let i = 0; i < size; i++) crowding[i] = measure(i);
  for (let removed = size - keep; removed > 0; removed--) {
    let worst = -1;
    for (let i = 0; i < size; i++) {
      if (alive[i] === 1 && (worst < 0 || crowding[i]! < crowding[worst]!)) worst = i;
    }
    alive[worst] = 0;
    for (let k = 0; k < dimension; k++) {
      const before = previous[k]![worst]!;
      const after = following[k]![worst]!;
      if (before >= 0) following[k]![before] = after;
      if (after >= 0) previous[k]![after] = before;
    }
    for (let k = 0; k < dimension; k++) {
      const before = previous[k]![worst]!;
      const after = following[k]![worst]!;
      if (before >= 0) crowding[before] = measure(before);
      if (after >= 0) crowding[after] = measure(after);
    }
  }
  const survivors: number[] = [];
  for (let i = 0; i < size; i++) {
    if (alive[i] === 0) continue;
    survivors.push(unique[i]!);
    distances[unique[i]!] = crowding[i]!;
  }
  return Int32Array.from(survivors).sort();
}
