// What a single row runs when decoding.
import type { HipConfig } from './config.ts';

/**
 * The configuration of a decode step: with `decodeKeys: 'candidates'` the vote is left out, and the row attends to every token that
 * the stage before it keeps, in that stage's chunks (docs/specification/hip.md §8). Otherwise, and where no vote is, the same.
 *
 * @example
 * ```ts
 * import { decodeConfig, DEFAULT_CONFIG } from '@hip/mask-search';
 * const { k, blockK } = decodeConfig({ ...DEFAULT_CONFIG, decodeKeys: 'candidates' });
 * console.log([DEFAULT_CONFIG.k, DEFAULT_CONFIG.blockK, k, blockK]); // => [ 320, 2, 1536, 16 ]
 * ```
 */
export function decodeConfig(config: HipConfig): HipConfig {
  const { stages, decodeKeys } = config;
  const before = stages?.at(-2);
  if (decodeKeys === 'selected' || stages?.at(-1)?.score !== 'mass' || !before) return config;
  return { ...config, k: before.keep, blockK: before.chunk, stages: stages.slice(0, -1), kPerHead: undefined };
}
