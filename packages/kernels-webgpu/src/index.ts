// The public face of @hip/kernels-webgpu.
export * from './errors/gpu-errors.ts';
export {
  accessOf,
  profileOf,
  withTier,
  type DeviceProfile,
  type ElementType,
  type StorageAccess,
  type Tier,
} from './device/features.ts';
export { DEFAULT_LIMITS, limitsOf, type DeviceLimits } from './device/limits.ts';
export { requestHipDevice, USED_FEATURES, type RequestOptions } from './device/request.ts';
export { probeMatrices } from './device/probe.ts';
export { contextOf, GpuContext } from './dispatch/context.ts';
export {
  GpuCall,
  submitTogether,
  type Binding,
  type BufferRange,
  type Pass,
  type PreparedCall,
} from './dispatch/call.ts';
export { compilePipelines, type PipelineSpec } from './dispatch/pipelines.ts';
export { Timer, type PassTime } from './dispatch/timer.ts';
export { emptyTensor, readTensor, tensorBytes, uploadTensor, type GpuTensor } from './dispatch/tensor.ts';
export { allocateMask, destroyMask, readMask, uploadMask, type GpuMask } from './attention/mask.ts';
export { encodeAttention, type AttentionOptions, type AttentionTensors } from './attention/dispatch.ts';
export {
  planAttention,
  type AttentionDispatch,
  type AttentionPlan,
  type AttentionPlanInput,
} from './attention/plan.ts';
export { type AttentionVariant, type MatrixVariant, type TileVariant } from './attention/variants.ts';
export {
  DEFAULT_TUNING,
  planSearch,
  type BufferRole,
  type SearchPass,
  type SearchPlan,
  type SearchRequest,
  type SearchTuning,
} from './search/plan.ts';
export { encodeEnvelope, type Envelopes, type EnvelopeUpdate } from './search/envelopes.ts';
export { encodeSearch, type SearchBuffers } from './search/search.ts';
export { encodeDecode, type DecodeOptions, type DecodeTensors } from './decode/decode.ts';
export { planDecode, type DecodeDispatch, type DecodePlan, type DecodeRequest } from './decode/plan.ts';
export { GpuDecodeSession, type GpuDecodeOptions } from './decode/session.ts';
export { ModelPool } from './decode/model-pool.ts';
export { ModelSession } from './decode/model-session.ts';
export type { LayerRoom } from './decode/layer-room.ts';
export type { SavedSearches, SavedSession } from './decode/saved-session.ts';
export type { SavedTurn } from './decode/step-history.ts';
export { ModelTurn } from './decode/model-turn.ts';
export {
  planModelPool,
  type ModelLayer,
  type ModelPlanOptions,
  type ModelPoolOptions,
  type ModelPoolPlan,
} from './decode/model-plan.ts';
export type { LayerOptions } from './decode/layer.ts';
export { SharedScratch } from './decode/shared-scratch.ts';
export { type StepTensors } from './decode/tensors.ts';
export { KvCache } from './cache/kv-cache.ts';
export { type CacheView } from './cache/view.ts';
export { OFFLOADED_PAGE_TOKENS, PAGE_TOKENS } from './cache/page-tokens.ts';
export { KvPool, type KvPoolOptions, type PoolBuffers } from './cache/kv-pool.ts';
export { PagePlanner, type Placement } from './cache/page-planner.ts';
export { planPools, type CachePlan, type PoolPlan, type PoolRequest } from './cache/pools.ts';
export { encodeAttentionGradient, type GradientTensors } from './attention/gradient.ts';
export { flashAttention, hipAttention, type AttentionInputs, type HipOptions } from './attention/attend.ts';
