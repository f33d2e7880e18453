// Tensors on the GPU: a buffer range and how its numbers are stored; upload and read back.
import { HipError } from '@hip/mask-search';
import { bytesOf, type ElementType } from '../device/features.ts';
import type { GpuContext } from './context.ts';
import { readHalves, writeHalves } from './half.ts';
import { createBuffer } from './pool.ts';

/** A dense row-major array inside a GPU buffer. */
export interface GpuTensor {
  readonly buffer: GPUBuffer;
  /** Bytes; a multiple of the device's minStorageBufferOffsetAlignment. @defaultValue 0 */
  readonly offset?: number | undefined;
  readonly type: ElementType;
  /** Numbers, not bytes. */
  readonly length: number;
}

const TENSOR_USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC: the constants' global is absent outside browsers until installed.

/** Bytes a tensor takes; f16 is rounded up to whole u32. */
export function tensorBytes(type: ElementType, length: number): number {
  return Math.ceil((length * bytesOf(type)) / 4) * 4;
}

/** Allocates a tensor; its content is zero. */
export function emptyTensor({
  context,
  type,
  length,
  label = 'tensor',
}: {
  readonly context: GpuContext;
  readonly type: ElementType;
  readonly length: number;
  readonly label?: string;
}): GpuTensor {
  return { buffer: createBuffer(context, tensorBytes(type, length), TENSOR_USAGE, label), type, length };
}

/** Copies numbers to the GPU; f16 rounds to nearest even. */
export function uploadTensor(
  context: GpuContext,
  values: Float32Array | Float64Array,
  type: ElementType,
  label = 'tensor',
): GpuTensor {
  const tensor = emptyTensor({ context, type, length: values.length, label });
  const bytes = new ArrayBuffer(tensorBytes(type, values.length));
  if (type === 'f32') new Float32Array(bytes).set(values);
  else writeHalves(bytes, values);
  context.device.queue.writeBuffer(tensor.buffer, 0, bytes);
  return tensor;
}

/** Copies bytes of a buffer back. Waits for the queue. */
export async function readBytes(
  context: GpuContext,
  buffer: GPUBuffer,
  offset: number,
  bytes: number,
): Promise<ArrayBuffer> {
  context.assertAlive();
  const size = Math.ceil(bytes / 4) * 4;
  const staging = createBuffer(context, size, 0x01 | 0x08, 'readback'); // MAP_READ | COPY_DST
  try {
    const encoder = context.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
    context.device.queue.submit([encoder.finish()]);
    await context.settled();
    await context.orLost(staging.mapAsync(1));
    return staging.getMappedRange().slice(0, bytes);
  } catch (error) {
    await Promise.resolve();
    throw (
      context.lost ??
      (error instanceof HipError
        ? error
        : new HipError('internal', `reading ${bytes} bytes back failed: ${String(error)}`, { bytes }, { cause: error }))
    );
  } finally {
    staging.destroy();
  }
}

/** A tensor's numbers on the host. */
export async function readTensor(
  context: GpuContext,
  { buffer, offset = 0, type, length }: GpuTensor,
): Promise<Float32Array> {
  const bytes = await readBytes(context, buffer, offset, length * bytesOf(type));
  return type === 'f32' ? new Float32Array(bytes) : readHalves(bytes);
}
