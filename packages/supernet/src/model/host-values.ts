// The numbers of an input tensor without waiting for a device: only where they are in host memory already.
import * as tf from '@tensorflow/tfjs';

/** Backends that hold tensors in host memory. */
export const HOST_BACKENDS: readonly string[] = ['cpu', 'wasm'];

/** The part of tfjs-webgpu's backend used here: a tensor that came from the host keeps its numbers there. */
interface GpuBackend {
  readonly tensorMap?: { get(dataId: object): { readonly values?: unknown } | undefined };
}

/** tfjs-webgpu forgets the numbers once it has uploaded them; those asked for here are looked at again in every pass. */
const seen = new WeakMap<object, ArrayLike<number>>();

/** Numbers of an int32, float32 or bool tensor; undefined where they are on a device only. */
export function hostValues(tensor: tf.Tensor): ArrayLike<number> | undefined {
  if (HOST_BACKENDS.includes(tf.getBackend())) return tensor.dataSync();
  if (tf.getBackend() !== 'webgpu') return undefined;
  const known = seen.get(tensor.dataId);
  if (known) return known;
  const values = (tf.backend() as unknown as GpuBackend).tensorMap?.get(tensor.dataId)?.values;
  if (!ArrayBuffer.isView(values) && !Array.isArray(values)) return undefined;
  const numbers = values as unknown as ArrayLike<number>;
  seen.set(tensor.dataId, numbers);
  return numbers;
}
