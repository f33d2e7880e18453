// Exact top-k, sorted: the definition every selection here is measured against.
import { HipError } from '../errors.ts';

/**
 * The k largest values, best first; equal values: the lower index first. Cost O(n·log n).
 *
 * @throws HipError `invalid-shape` unless 0 <= k <= n, `non-finite` on NaN
 * @example
 * ```ts
 * import { topK } from '@hip/mask-search';
 * console.log(topK([3, 9, 9, 1], 3).indices); // => [ 1, 2, 0 ]
 * ```
 */
export function topK(values: ArrayLike<number>, k: number): { readonly values: number[]; readonly indices: number[] } {
  if (!(Number.isSafeInteger(k) && k >= 0 && k <= values.length)) {
    throw new HipError('invalid-shape', `k is ${k}: give an integer from 0 to the ${values.length} values`, {
      k,
      length: values.length,
    });
  }
  const order = Array.from({ length: values.length }, (_, i) => i);
  const nan = order.find((i) => Number.isNaN(values[i]));
  if (nan !== undefined) throw new HipError('non-finite', `values[${nan}] is NaN: it has no rank`, { index: nan });
  order.sort((a, b) => (values[a] === values[b] ? a - b : values[b]! - values[a]!));
  const indices = order.slice(0, k);
  return { values: indices.map((i) => values[i]!), indices };
}
