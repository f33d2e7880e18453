// Seeded inputs, and the arithmetic that an attention call cannot do without.
import type { AttentionShape, HipConfig } from '@hip/mask-search';

/** Normal numbers, repeatable. */
export function normals(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  const out = new Float32Array(length);
  for (let i = 0; i < length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(next()));
    const angle = 2 * Math.PI * next();
    out[i] = radius * Math.cos(angle);
    if (i + 1 < length) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

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
