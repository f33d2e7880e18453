// tfjs-webgpu as a queue and buffers for programs of our own.
import * as tf from '@tensorflow/tfjs';

/** The value of a uniform. */
export interface UniformData {
  readonly type: 'int32' | 'float32';
  readonly data: number[];
}

/** The part of tfjs-webgpu's backend that is used; structural, so that the backend stays an optional peer. */
export interface TfjsWebGpu {
  readonly device: { createShaderModule(of: object): object; createComputePipeline(of: object): object };
  readonly tensorMap: { get(dataId: object): { values: unknown } };
  uploadToGPU(dataId: object): void;
  makeTensorInfo(shape: number[], dtype: 'float32'): tf.TensorInfo;
  recordAndSubmit(
    program: object,
    output: tf.TensorInfo,
    inputs: readonly tf.TensorInfo[],
    uniforms: readonly UniformData[],
  ): void;
  refCount(dataId: object): number;
  runWebGPUProgram(
    program: object,
    inputs: readonly tf.TensorInfo[],
    dtype: tf.DataType,
    uniforms: readonly UniformData[],
    output?: tf.TensorInfo,
  ): tf.TensorInfo;
}

/** Whether the current backend runs them. */
export function onWebGpu(): boolean {
  return tf.getBackend() === 'webgpu' && 'runWebGPUProgram' in tf.backend();
}

/** The current backend, where {@link onWebGpu}. */
export function gpuBackend(): TfjsWebGpu {
  return tf.backend() as unknown as TfjsWebGpu;
}

/** Whether other tensors have the same values by reference (a reshape of it, say): changing one changes all. */
export function isShared(tensor: tf.Tensor): boolean {
  return gpuBackend().refCount(tensor.dataId) > 1;
}
