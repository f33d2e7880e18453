// The public face of @hip/attention.
export { prepareAttention, type PreparedAttention, type PrepareOptions } from './backend.ts';
export { denseAttention, hipAttention, maskedAttention, type DenseAttentionOptions, type HipAttentionOptions } from './attention.ts';
export { BREAK_EVEN_KEYS, chooseDense } from './break-even.ts';
export { denseModelAttention, hipModelAttention, type LayerContext, type ModelAttention, type ModelAttentionOptions } from './model.ts';
export { KvCache } from './cache.ts';
export { DEFAULT_CONFIG, HipError, PAPER_CONFIG, resolveConfig, type BlockMask, type HipConfig, type SearchStage } from '@hip/mask-search';
