// The public face of @hip/attention.
export { prepareAttention, type AttentionBackend, type PreparedAttention, type PrepareOptions } from './backend.ts';
export {
  denseAttention,
  hipAttention,
  maskedAttention,
  type DenseAttentionOptions,
  type HipAttentionOptions,
  type ScoreOptions,
} from './attention.ts';
export { BREAK_EVEN_KEYS, chooseDense } from './break-even.ts';
export {
  denseModelAttention,
  hipModelAttention,
  type LayerContext,
  type ModelAttention,
  type ModelAttentionOptions,
} from './model.ts';
export { KvCache, type KeysAndValues, type KvCacheOptions } from './cache.ts';
export { hipModelCache, type ModelCache } from './model-cache.ts';
export { type ModelCacheOptions } from './resident-layer.ts';
export { measureFidelity, type Fidelity, type RunFidelity } from './fidelity/measure.ts';
export { type FidelityOptions } from './fidelity/settings.ts';
export { type HeadFidelity, type LayerFidelity } from './fidelity/layers.ts';
export { calibrate, type CalibratedHead, type CalibratedLayer, type Calibration } from './fidelity/calibrate.ts';
export { type CalibrateOptions } from './fidelity/calibration-settings.ts';
export { loadProfile, profileConfig, type CalibrationProfile, type MeasuredProfile } from './fidelity/profile.ts';
export { checkProfile } from './fidelity/fingerprint.ts';
export { type AttentionFactory, type MeasuredCache, type MeasuredModel, type RunOptions } from './fidelity/model.ts';
export {
  DEFAULT_CONFIG,
  HipError,
  PAPER_CONFIG,
  VOTE_CONFIG,
  resolveConfig,
  type BlockMask,
  type HipConfig,
  type SearchStage,
} from '@hip/mask-search';
