// The paper's algorithm as it is defined: one query, single keys, no blocks, no window. The blocked search is tested against it.
import { dot } from '../attention/score.ts';
import type { FloatArray } from '../inputs.ts';
import { HipError } from '../errors.ts';

/**
 * HiP's hierarchical top-k approximation for a single query (paper §3.1, Algorithm 1; docs/specification/hip.md §2 with b_q = b_k = 1).
 *
 * 1. Cut the T visible keys into k runs of neighbours whose lengths differ by at most one.
 * 2. Halve every run. The key at the centre of a half stands for all of it: it alone is multiplied with the query.
 * 3. Of the 2k halves keep the k whose centres score best, and go on with them.
 * 4. After ⌈log2(T / k)⌉ rounds each run is one key: these k keys are the answer.
 *
 * Cost: at most 2k·⌈log2(T / k)⌉ dot products and O(k) memory, where exact top-k takes T of both.
 *
 * @param query [d]
 * @param keys [≥ visible, d]
 * @returns indices of the kept keys, ascending; all of them when visible <= k
 * @throws HipError `invalid-shape`
 * @example
 * ```ts
 * import { searchKeysOfQuery } from '@hip/mask-search';
 * const keys = Float64Array.of(0, 1, 2, 3, 4, 5, 6, 7);
 * const kept = searchKeysOfQuery(Float64Array.of(1), keys, { visible: 8, k: 2 });
 * console.log(kept); // => [ 6, 7 ]
 * ```
 */
export function searchKeysOfQuery(
  query: FloatArray,
  keys: FloatArray,
  { visible, k }: { readonly visible: number; readonly k: number },
): number[] {
  const d = query.length;
  const counts = Number.isSafeInteger(visible) && Number.isSafeInteger(k);
  if (!(counts && visible >= 0 && k >= 1 && d >= 1 && keys.length >= visible * d)) {
    throw new HipError('invalid-shape', `visible ${visible}, k ${k}: keys hold ${keys.length / d} vectors of ${d}`, {
      visible,
      k,
      headDim: d,
    });
  }
  if (visible <= k) return Array.from({ length: visible }, (_, key) => key);
  const score = (key: number): number => dot(query, 0, keys, key * d, d);
  let runs = Array.from({ length: k }, (_, i) => ({
    start: Math.floor((i * visible) / k),
    end: Math.floor(((i + 1) * visible) / k),
  }));
  while (runs.some(({ start, end }) => end - start > 1)) {
    const halves = runs.flatMap(({ start, end }) => {
      const middle = start + Math.floor((end - start) / 2);
      const both = [
        { start, end: middle },
        { start: middle, end },
      ];
      return both.filter((half) => half.end > half.start);
    });
    const scored = halves.map((half) => ({ half, score: score(half.start + Math.floor((half.end - half.start) / 2)) }));
    scored.sort((a, b) => b.score - a.score || a.half.start - b.half.start);
    runs = scored.slice(0, k).map(({ half }) => half);
    runs.sort((a, b) => a.start - b.start);
  }
  return runs.map(({ start }) => start);
}
