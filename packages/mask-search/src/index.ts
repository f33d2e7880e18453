// The public face of @hip/mask-search.
export * from './block-mask.ts';
export * from './config.ts';
export * from './errors.ts';
export { type FloatArray } from './inputs.ts';
export { denseAttention, type DenseOptions, type ScoreOptions } from './attention/dense.ts';
export { attendedKeys, blockSparseAttention } from './attention/block-sparse.ts';
export { searchBlockMask } from './search/search.ts';
export { selectLargest } from './search/select.ts';
export type { WorkCount } from './search/scorer.ts';
export { massRecall, type MassRecallOptions } from './metrics/mass-recall.ts';
export { blockSparseAttentionGradient, type AttentionGradients } from './attention/block-sparse-gradient.ts';
export { maskDensity, maskToSvg, type PictureOptions } from './picture/svg.ts';
