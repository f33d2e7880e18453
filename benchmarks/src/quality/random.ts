// Random numbers that are the same everywhere.
import { seededRandom } from '@hip/checkpoints/generation';

/** Numbers in [0, 1). */
export function generator(seed: number): () => number {
  return seededRandom(seed + 1);
}
