// Configurations of stock: the papers' and the shipped ones.
import type { HipConfig } from './config.ts';
import { DEFAULT_REMAINDER } from './remainder.ts';
import { defaultStages, infiniteHipStages, voteStages } from './stages.ts';

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

/** The shipped default. Chosen by perplexity and pass-key accuracy on real weights (docs: the quality table). */
export const DEFAULT_CONFIG: HipConfig = Object.freeze({
  ...PAPER_CONFIG,
  blockQ: 32,
  blockK: 16,
  denseLayers: 2,
  stages: defaultStages(PAPER_CONFIG.k),
});

/**
 * The default with blocks of 64 rows and means of 8: up to twice as fast on a GPU, whose tiles it fills, and a tenth faster on a CPU.
 * Perplexity is the same within half a percent; one pass-key in four at 32K tokens is lost on the harder model (docs: the quality table).
 */
export const FAST_CONFIG: HipConfig = Object.freeze({
  ...DEFAULT_CONFIG,
  blockQ: 64,
  stages: defaultStages(PAPER_CONFIG.k, 8),
});

/**
 * Rows vote on small blocks, what is near is chosen instead of granted, pseudo-keys stand for the rest (docs/specification/hip.md §8).
 * Nearer to dense attention than DEFAULT_CONFIG with half the keys, and slower to search (docs/guide/ablation.md).
 */
export const VOTE_CONFIG: HipConfig = Object.freeze({
  ...PAPER_CONFIG,
  k: 320,
  blockK: 2,
  window: 64,
  denseLayers: 2,
  denseTokens: 32_768,
  stages: voteStages(320),
  remainder: DEFAULT_REMAINDER,
});
