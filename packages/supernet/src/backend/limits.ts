// What a tfjs backend can hold, and refusing a model that is larger before any of its weights is read.
import * as tf from '@tensorflow/tfjs';
import { elementCount, type WeightSlot } from '@hip/checkpoints';
import { SupernetError } from '../errors.ts';

/** Bytes; absent where there is no such limit. */
export interface BackendLimits {
  readonly backend: string;
  /** Of all weights together. */
  readonly total?: number;
  /** Of one weight. */
  readonly tensor?: number;
}

/** Addresses of WebAssembly are 32 bits wide. */
const WASM_BYTES = 2 ** 32;

interface Device {
  readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number };
}

/** Limits of the current backend. */
export function backendLimits(): BackendLimits {
  const backend = tf.getBackend();
  if (backend === 'wasm') return { backend, total: WASM_BYTES };
  if (backend !== 'webgpu') return { backend };
  const { device } = tf.backend() as unknown as { readonly device?: Device };
  if (!device) return { backend };
  return { backend, tensor: Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize) };
}

const size = (bytes: number): string =>
  bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / 2 ** 30).toFixed(2)} GiB`;

/**
 * Whether weights fit, as the float32 that tfjs computes in.
 *
 * @throws SupernetError `out-of-memory` with both sizes
 */
export function requireFits(slots: readonly WeightSlot[], limits: BackendLimits): void {
  const { backend, total, tensor } = limits;
  const sizes = slots.map(({ name, shape }) => ({ name, bytes: 4 * elementCount(shape) }));
  const bytes = sizes.reduce((sum, each) => sum + each.bytes, 0);
  if (total !== undefined && bytes > total) {
    const message = `the weights take ${size(bytes)} as float32, and tfjs's ${backend} holds ${size(total)}: use a smaller checkpoint or another backend (webgpu, cpu)`;
    throw new SupernetError('out-of-memory', message, { backend, bytes, limit: total });
  }
  const large = tensor === undefined ? undefined : sizes.find((each) => each.bytes > tensor);
  if (large && tensor !== undefined) {
    const message = `${large.name} takes ${size(large.bytes)} as float32, and a buffer of this ${backend} device holds ${size(tensor)}: use a smaller checkpoint or another backend (wasm, cpu)`;
    throw new SupernetError('out-of-memory', message, { backend, name: large.name, bytes: large.bytes, limit: tensor });
  }
}
