// The public face of @hip/kernels-cpu.
export { createCpuRuntime } from './runtime/create.ts';
export type { CpuRuntime } from './runtime/runtime.ts';
export type { CallOptions, CpuRuntimeOptions, DenseCallOptions, HipResult } from './runtime/options.ts';
export type { CacheOptions } from './runtime/cache-options.ts';
export type { KeyValueCache, SavedCache } from './runtime/cache.ts';
export type { HeldTokens } from './store/read.ts';
export type { AsyncOptions } from './runtime/drive.ts';
export type { PhaseTimes } from './runtime/engine.ts';
export type { Gradients } from './runtime/gradient.ts';
export type { MatmulOptions } from './runtime/matmul.ts';
export type { ModelRuntime } from './model/runtime.ts';
export type { Activation } from './model/activation.ts';
export type { MatrixOptions, StoredMatrix } from './model/matrix.ts';
export type { LinearOptions, LinearTarget } from './model/linear.ts';
export type { ActivationFunction, NormOptions, RotateOptions } from './model/elements.ts';
export type { WeightType } from './model/types.ts';
export { planMemory, type MemoryPlan, type PlanInput } from './plan/plan.ts';
export { PAGE_TOKENS, type CacheType } from './plan/layout.ts';
export { threadsAvailable } from './runtime/threads.ts';
export type { SimdChoice } from './wasm/binary.ts';
export {
  DEFAULT_CONFIG,
  HipError,
  PAPER_CONFIG,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
  type ScoreOptions,
} from '@hip/mask-search';
