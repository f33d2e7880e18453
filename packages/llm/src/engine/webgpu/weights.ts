// A decoder's weights in GPU memory: blocks as they are stored, vectors as float32.
import type { OpenCheckpoint } from '@hip/checkpoints';
import { uploadTensor, type DeviceLimits, type GpuContext, type GpuTensor } from '@hip/kernels-webgpu';
import { createGpuMatrix, planMatrix, type GpuMatrix } from '@hip/kernels-webgpu/model';
import type { EngineOptions, WeightChoice } from '../types.ts';
import { loadWeights, type DecoderWeights, type WeightsPlan } from '../weights.ts';

export type WebgpuWeights = DecoderWeights<GpuMatrix, GpuVector>;

/** Bytes that may wait for the GPU before reading goes on. */
const MOST_WAITING = 12 * 2 ** 20;

/** A norm's weight or a bias. */
export interface GpuVector extends GpuTensor {
  dispose(): void;
}

/** Bytes of GPU memory. @throws HipError `unsupported` for a matrix whose row is beyond a binding */
export function webgpuWeightBytes({ matrices, vectors }: WeightsPlan, limits: DeviceLimits): number {
  const floats = vectors.reduce((sum, { shape }) => sum + (shape[0] ?? 1), 0);
  return matrices.reduce((sum, { info, type }) => {
    const [rows = 1, columns = 1] = info.shape;
    return sum + planMatrix({ type, rows, columns }, limits).bytes;
  }, 4 * floats);
}

/**
 * @param allocated - called when all memory is allocated, vectors are there and matrices are empty
 * @throws what `loadWeights` throws
 */
export function loadWebgpuWeights(
  context: GpuContext,
  checkpoint: OpenCheckpoint,
  options: EngineOptions & { readonly weights: WeightChoice },
  allocated: (weights: WebgpuWeights) => Promise<void>,
): Promise<WebgpuWeights> {
  let waiting = 0;
  let before: Promise<unknown> = Promise.resolve();
  const store = {
    createMatrix: (shape: Parameters<typeof createGpuMatrix>[1]) => createGpuMatrix(context, shape),
    createVector: (values: Float32Array): GpuVector => {
      const tensor = uploadTensor(context, values, 'f32', 'vector');
      return { ...tensor, dispose: () => tensor.buffer.destroy() };
    },
    allocated,
    // The queue keeps what was written until the GPU has it: the host must not read the whole file ahead of it.
    written: async (bytes: number): Promise<void> => {
      waiting += bytes;
      if (waiting < MOST_WAITING) return;
      waiting = 0;
      context.device.queue.submit([]);
      // The next pieces are read while these are on their way.
      await context.orLost(before);
      before = context.device.queue.onSubmittedWorkDone();
      before.catch(() => undefined);
    },
  };
  return loadWeights(store, checkpoint, options);
}
