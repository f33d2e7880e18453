// Rotary tables of a run of positions, and which frequencies a sequence of a length is rotated by.
import type { RopeConfig } from '@hip/checkpoints';
import { frequenciesFor } from '@hip/checkpoints/families';

/** Whether a sequence of `tokens` is rotated by another set of frequencies from its first token on (longrope). */
export function isLong(ropes: readonly RopeConfig[], tokens: number): boolean {
  return ropes.some(({ long }) => long !== undefined && tokens > long.beyond);
}

/**
 * Fills cos and sin [rows, pairs] of positions first, first + 1, ….
 *
 * Angles are rounded to float32 before their cosine is taken, as transformers does.
 *
 * @param total tokens of the sequence with these rows: dynamic NTK and longrope choose by it
 */
export function fillRotation(
  rope: RopeConfig,
  { first, rows, total }: { readonly first: number; readonly rows: number; readonly total: number },
  cos: Float32Array,
  sin: Float32Array,
): void {
  const frequencies = frequenciesFor(rope, total);
  const pairs = frequencies.length;
  for (let row = 0; row < rows; row++) {
    for (let pair = 0; pair < pairs; pair++) {
      const angle = Math.fround((first + row) * (frequencies[pair] as number));
      cos[row * pairs + pair] = Math.cos(angle) * rope.attentionFactor;
      sin[row * pairs + pair] = Math.sin(angle) * rope.attentionFactor;
    }
  }
}
