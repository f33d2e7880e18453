// @hip/onnx: HiP inside ONNX language models.
export { OnnxError, type OnnxErrorCode } from './errors.ts';
export { createHipSession, type HipSessionOptions } from './session/create.ts';
export type { HipSession } from './session/hip-session.ts';
export type { AttentionOptions } from './runtime/attention-options.ts';
export type { Ort, OrtMetadata, OrtSession, OrtSessionOptions, OrtTensor } from './runtime/ort.ts';
export { useHip, type UseHipOptions } from './transformers/use-hip.ts';
export type { TransformersEnv, TransformersModel } from './transformers/types.ts';
export type { OnnxFile, OnnxFiles } from './model/files.ts';
