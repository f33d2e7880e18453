// tfjs' webgpu backend from the inside: its device, its queue, and the buffers of its tensors, shared without copies.
import type { TensorInfo } from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import { contextOf, type GpuContext } from '../dispatch/context.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';

/** What these kernels use of the backend. */
export interface WebgpuBackend {
  readonly device: GPUDevice;
  readonly commandEncoder: GPUCommandEncoder | null;
  readonly tensorMap: { get(dataId: object): { readonly resource: GPUBuffer | null } };
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: object): void;
  makeTensorInfo(shape: number[], dtype: 'float32'): TensorInfo;
  disposeData(dataId: object): boolean;
}

/** @throws HipError `unsupported` for another backend */
export function webgpuBackend(backend: unknown): WebgpuBackend {
  const candidate = backend as Partial<WebgpuBackend> | null;
  if (!candidate?.device || !candidate.submitQueue || !candidate.uploadToGPU) {
    throw new HipError('unsupported', 'the current tfjs backend is not webgpu: await tf.setBackend("webgpu") first', {
      backend: String(backend),
    });
  }
  return candidate as WebgpuBackend;
}

/** The kernels' context on the backend's device. */
export function contextOfBackend({ device }: WebgpuBackend): GpuContext {
  return contextOf(device);
}

/** Submits what the backend has recorded, so that what follows on the same queue sees it done. */
export function flush(backend: WebgpuBackend): void {
  if (!backend.commandEncoder) return;
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/**
 * The buffer of a tensor; uploads it first where it is still on the host.
 *
 * @throws HipError `unsupported` unless it is float32
 */
export function tensorOf(backend: WebgpuBackend, { dataId, dtype, shape }: TensorInfo): GpuTensor {
  if (dtype !== 'float32')
    throw new HipError('unsupported', `a tensor is ${dtype}: attention takes float32, cast it`, { dtype });
  backend.uploadToGPU(dataId);
  const buffer = backend.tensorMap.get(dataId).resource;
  if (!buffer) throw new HipError('internal', 'tfjs gave a tensor no buffer: is it disposed?');
  return { buffer, type: 'f32', length: shape.reduce((product, extent) => product * extent, 1) };
}

/** A new tensor of the backend, its buffer allocated by the backend: its memory management owns it. */
export function outputTensor(
  backend: WebgpuBackend,
  shape: number[],
): { readonly info: TensorInfo; readonly tensor: GpuTensor } {
  const info = backend.makeTensorInfo(shape, 'float32');
  return { info, tensor: tensorOf(backend, info) };
}
