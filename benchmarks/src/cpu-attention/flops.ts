// The arithmetic that an attention call cannot do without.
import type { AttentionShape, HipConfig } from '@hip/mask-search';

/** Multiplications and additions of causal dense attention: 4·d for each visible pair. */
export function denseFlops({ batch, queries, keys, heads, headDim }: AttentionShape): number {
  const first = keys - queries + 1;
  return (4 * headDim * batch * heads * queries * (first + keys)) / 2;
}

/** The same for the keys HiP attends to: window, sinks and k, as far as there are so many. Masked pairs count as nothing. */
export function sparseFlops(
  { batch, queries, keys, heads, headDim }: AttentionShape,
  { k, window, sink }: HipConfig,
): number {
  let pairs = 0;
  for (let row = 0; row < queries; row++) pairs += Math.min(keys - queries + row + 1, k + window + sink);
  return 4 * headDim * batch * heads * pairs;
}
