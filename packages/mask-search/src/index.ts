// The public face of @hip/mask-search.
export {
  denseMask,
  emptyMask,
  blocksOf,
  setBlocks,
  type AttentionShape,
  type BlockMask,
  type MaskConfig,
} from './block-mask.ts';
export {
  DEFAULT_CONFIG,
  INFINITE_HIP_CONFIG,
  PAPER_CONFIG,
  resolveConfig,
  type EnsembleConfig,
  type HipConfig,
  type Representative,
} from './config/config.ts';
export { layerConfig } from './config/layer.ts';
export { defaultStages, infiniteHipStages, withBudget, type SearchStage } from './config/stages.ts';
export * from './errors.ts';
export { type FloatArray } from './inputs.ts';
export { newWorkCount, type RunOptions, type WorkCount } from './work.ts';
export { denseAttention, type DenseOptions } from './attention/dense.ts';
export { type ScoreOptions } from './attention/score.ts';
export { attendedKeys } from './attention/attended-keys.ts';
export { blockSparseAttention, type SparseOptions } from './attention/block-sparse.ts';
export { blockSparseAttentionGradient, type AttentionGradients } from './attention/block-sparse-gradient.ts';
export {
  addKey,
  emptyPartial,
  finishPartial,
  mergePartials,
  type PartialAttention,
} from './attention/online-softmax.ts';
export {
  rotaryEmbedding,
  rotaryTables,
  rotateVector,
  type RopeOptions,
  type RotaryTables,
} from './attention/rotary.ts';
export { searchBlockMask, type SearchOptions, type SearchRopeOptions } from './search/search.ts';
export { searchKeysOfQuery } from './search/per-query.ts';
export { selectLargest } from './search/select.ts';
export { topK } from './search/top-k.ts';
export { massRecall, type MassRecallOptions } from './metrics/mass-recall.ts';
export { maskDensity, maskToSvg, type PictureOptions } from './picture/svg.ts';
