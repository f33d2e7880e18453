// Uniform numbers that repeat from a seed.

/**
 * Numbers in [0, 1), the same for the same seed (mulberry32: 32 bits of state, 32 of each number).
 *
 * @example
 * ```ts
 * import { seededRandom } from '@hip/checkpoints/generation';
 *
 * const random = seededRandom(7);
 * console.log(random() === seededRandom(7)(), random() < 1); // => true true
 * ```
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
