export * from './errors.ts';
export type * from './elastic/types.ts';
export * from './elastic/space.ts';
export * from './elastic/subnets.ts';
export * from './elastic/genes.ts';
export { validateSubnet } from './elastic/validate.ts';
export type * from './model/types.ts';
export type { DropoutRates } from './model/dropout.ts';
export * from './checkpoints.ts';
export * from './backend/set-up.ts';
export * from './checkpoint/load.ts';
export * from './elastic/cost.ts';
export * from './elastic/memory.ts';
export { addAdapters } from './adapters/add.ts';
export type { AdapterOptions } from './adapters/add.ts';
export { countAdapters } from './adapters/count.ts';
export type { AdapterCount, AdapterCountOptions, AdaptedShape } from './adapters/count.ts';
export { countAdapterBytes } from './adapters/peft/layout.ts';
export type { AdapterBytesOptions } from './adapters/peft/layout.ts';
export { loadAdapters } from './adapters/peft/load.ts';
export type { LoadAdaptersOptions } from './adapters/peft/load.ts';
export { renderAdapters, saveAdapters } from './adapters/peft/save.ts';
export type { AdapterReport, SaveAdaptersOptions } from './adapters/peft/save.ts';
export type { AdaptedProduct, AdapterLayout, Adapters, AdapterTarget } from './adapters/types.ts';
export { denseAttention } from './model/attention/dense.ts';
export { ConcatKeyValueCache } from './model/cache.ts';
export { TransformerModel } from './model/transformer.ts';
export * from './model/generate.ts';
export { nextTokenLoss, prefill, tokenLosses } from './model/prefill.ts';
export type { ChunkFunction, PrefillOptions } from './model/prefill.ts';
export type { CheckpointLayout } from './export/config.ts';
export * from './export/extract.ts';
export { countCheckpointBytes, countOnnxBytes } from './export/bytes.ts';
export type { CheckpointBytesOptions } from './export/bytes.ts';
export { extractModel } from './export/values.ts';
export * from './data/index.ts';
export * from './train/index.ts';
export { exportOnnx, quantizedModel } from './export/onnx.ts';
export type {
  OnnxDtype,
  OnnxFolderOptions,
  OnnxOptions,
  OnnxQuantization,
  OnnxReport,
  OnnxSource,
} from './export/onnx.ts';
export * from './elastic/reorder.ts';
export type { ReorderAxis, ReorderOptions } from './elastic/reorder-options.ts';
export * from './elastic/reconstruct.ts';
export * from './latency/index.ts';
export * from './vocabulary/index.ts';
export { subnetProblem } from './search/problem.ts';
export type { SubnetProblem } from './search/problem.ts';
export type {
  AdapterCost,
  SubnetCost,
  SubnetMeasureContext,
  SubnetObjective,
  SubnetProblemOptions,
  SubnetQuality,
  SubnetTask,
} from './search/options.ts';
export type { SubnetVariable, WeightBits } from './search/genes.ts';
export { reuseWebGpuBindings } from './webgpu/dispatch-cache.ts';
export { mixedMatMul } from './webgpu/half-products.ts';
export type { MixedMatMulOptions } from './webgpu/half-products.ts';
