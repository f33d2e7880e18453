// The public face of @hip/mask-search.
export {
  denseMask,
  emptyMask,
  maskLayout,
  blocksOf,
  setBlocks,
  type AttentionShape,
  type BlockMask,
  type MaskConfig,
  type MaskLayout,
} from './block-mask.ts';
export { attentionShape } from './tensor-shape.ts';
export type { EnsembleConfig, HipConfig, LayerOverride, Representative } from './config/config.ts';
export { BOUND_CONFIG, DEFAULT_CONFIG, INFINITE_HIP_CONFIG, PAPER_CONFIG, VOTE_CONFIG } from './config/stock.ts';
export { nearestName } from './config/fields.ts';
export { resolveConfig } from './config/resolve.ts';
export { hasSlowHalf, suitableConfig, type HeadForm, type Rotation } from './config/suitable.ts';
export { layerConfig } from './config/layer.ts';
export {
  attends,
  attentionParts,
  DENSE_BELOW,
  denseKeys,
  layerRule,
  QUESTION_ROWS,
  resolveDenseBelow,
  type Attends,
  type CallRows,
  type DenseBelow,
  type LayerRule,
  type RowsPart,
} from './config/dense-below.ts';
export { partRows, type RowTensors } from './config/part-rows.ts';
export { decodeConfig } from './config/decode.ts';
export { resolveRemainder, type Remainder, type RemainderConfig } from './config/remainder.ts';
export {
  boundStages,
  infiniteHipStages,
  splitStages,
  voteStages,
  withBudget,
  withCandidates,
  type MassStage,
  type ScoredStage,
  type SearchStage,
} from './config/stages.ts';
export * from './errors.ts';
export { checkShape, type FloatArray } from './inputs.ts';
export { newWorkCount, type RunOptions, type WorkCount } from './work.ts';
export { denseAttention, type DenseOptions } from './attention/dense.ts';
export { checkScore, type ScoreOptions } from './attention/score.ts';
export { attendedKeys } from './attention/attended-keys.ts';
export { remainderBlock, remainderGeometry, type RemainderGeometry } from './remainder/geometry.ts';
export { pseudoKeys, type PseudoKey } from './remainder/pseudo-keys.ts';
export { BlockSums } from './remainder/block-sums.ts';
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
export { checkSearch, searchBlockMask, type SearchOptions, type SearchRopeOptions } from './search/search.ts';
export { maskCapacity } from './search/block-search.ts';
export { searchKeysOfQuery } from './search/per-query.ts';
export { selectLargest } from './search/select.ts';
export { topK } from './search/top-k.ts';
export { massRecall, type MassRecallOptions } from './metrics/mass-recall.ts';
export { topKRecall, type TopKRecallOptions } from './metrics/top-k-recall.ts';
export { outputError, worstRowError } from './metrics/output-error.ts';
export { validateMask } from './mask/check.ts';
export { toDense } from './mask/to-dense.ts';
export { unionMasks } from './mask/union.ts';
export { maskStatistics, type MaskStatistics } from './mask/statistics.ts';
export { exactTopKMask, type ExactOptions } from './baselines/exact-top-k.ts';
export { randomBlockMask } from './baselines/random-blocks.ts';
export { streamingMask } from './baselines/streaming.ts';
export { type BaselineOptions } from './baselines/grid.ts';
export { DecodeSession, type DecodeOptions } from './decode/session.ts';
export { MaskHistory, type RememberedSearch } from './decode/mask-history.ts';
export { RefreshClock } from './decode/refresh.ts';
export { maskDensity, type PictureOptions } from './picture/density.ts';
export { maskToSvg } from './picture/svg.ts';
export { maskToPng } from './picture/png.ts';
