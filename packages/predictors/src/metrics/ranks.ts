// How well predictions order: Kendall's τ-b and Spearman's ρ, ties counted.
import { checkPairs } from './errors.ts';

/** NaN has no place in an order: sorting would give it one. */
function isOrdered(...lists: readonly ArrayLike<number>[]): boolean {
  return lists.every((values) => !Array.from(values).some(Number.isNaN));
}

/** Pairs that are equal, given values in sorted order. */
function tiedPairs(count: number, equal: (i: number) => boolean): number {
  let pairs = 0;
  let run = 1;
  for (let i = 1; i <= count; i++) {
    if (i < count && equal(i)) run++;
    else {
      pairs += (run * (run - 1)) / 2;
      run = 1;
    }
  }
  return pairs;
}

/** Exchanges a merge sort makes: pairs in falling order. Sorts `values`. */
function countExchanges(values: Float64Array): number {
  let from = values;
  let to: Float64Array = new Float64Array(values.length);
  const n = values.length;
  let exchanges = 0;
  for (let width = 1; width < n; width *= 2) {
    for (let start = 0; start < n; start += 2 * width) {
      const middle = Math.min(start + width, n);
      const end = Math.min(start + 2 * width, n);
      let left = start;
      let right = middle;
      for (let at = start; at < end; at++) {
        if (right >= end || (left < middle && from[left]! <= from[right]!)) to[at] = from[left++]!;
        else {
          exchanges += middle - left;
          to[at] = from[right++]!;
        }
      }
    }
    [from, to] = [to, from];
  }
  if (from !== values) values.set(from);
  return exchanges;
}

/**
 * Kendall's τ-b in O(n log n) (Knight 1966). NaN where one side is constant or holds a NaN.
 *
 * @example
 * ```ts
 * import { kendallTau } from '@instatune/predictors';
 *
 * console.log(kendallTau([1, 2, 3, 4], [4, 3, 2, 1])); // => -1
 * ```
 */
export function kendallTau(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const n = checkPairs(predicted, actual, 2);
  if (!isOrdered(predicted, actual)) return Number.NaN;
  const order = Array.from({ length: n }, (_, i) => i).sort(
    (a, b) => predicted[a]! - predicted[b]! || actual[a]! - actual[b]!,
  );
  const x = Float64Array.from(order, (i) => predicted[i]!);
  const y = Float64Array.from(order, (i) => actual[i]!);
  const tiedX = tiedPairs(n, (i) => x[i] === x[i - 1]);
  const tiedBoth = tiedPairs(n, (i) => x[i] === x[i - 1] && y[i] === y[i - 1]);
  const discordant = countExchanges(y);
  const tiedY = tiedPairs(n, (i) => y[i] === y[i - 1]);
  const pairs = (n * (n - 1)) / 2;
  return (pairs - tiedX - tiedY + tiedBoth - 2 * discordant) / Math.sqrt((pairs - tiedX) * (pairs - tiedY));
}

/** Ranks from 1; equal values share their mean rank. */
function meanRanks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) ranks[order[i]!] = (start + end + 1) / 2;
    start = end;
  }
  return ranks;
}

/**
 * Spearman's ρ: the correlation of mean ranks. NaN where one side is constant or holds a NaN.
 *
 * @example
 * ```ts
 * import { spearman } from '@instatune/predictors';
 *
 * console.log(spearman([1, 2, 3, 4], [1, 2, 4, 3])); // => 0.8
 * ```
 */
export function spearman(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const n = checkPairs(predicted, actual, 2);
  if (!isOrdered(predicted, actual)) return Number.NaN;
  const x = meanRanks(predicted);
  const y = meanRanks(actual);
  const middle = (n + 1) / 2;
  let xy = 0;
  let xx = 0;
  let yy = 0;
  for (let i = 0; i < n; i++) {
    const a = x[i]! - middle;
    const b = y[i]! - middle;
    xy += a * b;
    xx += a * a;
    yy += b * b;
  }
  return xy / Math.sqrt(xx * yy);
}
