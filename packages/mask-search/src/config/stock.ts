// Configurations of stock: the papers' and the shipped ones.
import type { HipConfig } from './config.ts';
import { DEFAULT_REMAINDER } from './remainder.ts';
import { boundStages, infiniteHipStages, voteStages } from './stages.ts';

/** The paper's parameters (arXiv 2406.09827 §5; docs/specification/hip.md §2). */
export const PAPER_CONFIG: HipConfig = Object.freeze({
  k: 512,
  blockQ: 64,
  blockK: 2,
  strideQ: 2,
  strideK: 1,
  window: 256,
  sink: 16,
  representative: 'center',
  causal: true,
  shareHeads: false,
  refreshInterval: 8,
  denseLayers: 3,
  decodeKeys: 'selected',
  seed: 0,
  stages: undefined,
  remainder: undefined,
  denseTokens: undefined,
});

/** InfiniteHiP's parameters (arXiv 2502.08910): multi-stage pruning, k = 2048, and 4096 in the first three layers. */
export const INFINITE_HIP_CONFIG: HipConfig = Object.freeze({
  ...PAPER_CONFIG,
  k: 2048,
  blockK: 8,
  window: 1024,
  sink: 256,
  refreshInterval: 4,
  denseLayers: 0,
  kPerLayer: Object.freeze([4096, 4096, 4096]),
  stages: infiniteHipStages(),
});

/**
 * The shipped default, of every backend: rows vote on small blocks, what is near is chosen instead of granted, pseudo-keys stand for the
 * rest (docs/specification/hip.md §8). Chosen by its distance from dense attention on real weights (docs/guide/ablation.md).
 *
 * It searches by the slower half of the rotary pairs; heads without such pairs are searched by all of their channels.
 */
export const DEFAULT_CONFIG: HipConfig = Object.freeze({
  ...PAPER_CONFIG,
  k: 320,
  blockK: 2,
  window: 64,
  denseLayers: 2,
  denseTokens: 32_768,
  stages: voteStages(320),
  remainder: DEFAULT_REMAINDER,
});

/** @deprecated the name of DEFAULT_CONFIG while it was not the default: goes with the next minor version */
export const VOTE_CONFIG: HipConfig = DEFAULT_CONFIG;

/**
 * What was the default before rows voted: bounds that no needle hides in, exact scores of every fourth row, 784 keys a row. Twice as many
 * keys as DEFAULT_CONFIG, at more distance from dense attention (docs/guide/ablation.md).
 */
export const BOUND_CONFIG: HipConfig = Object.freeze({
  ...PAPER_CONFIG,
  blockQ: 32,
  blockK: 16,
  denseLayers: 2,
  stages: boundStages(PAPER_CONFIG.k),
});
