// tfjs kernels for the webgpu backend: `await registerWebgpuKernels()`, then hipAttention and its kin run on tfjs' own device.
import * as tf from '@tensorflow/tfjs';
import type { BlockMask } from '@hip/mask-search';
import { SharedScratch } from '../decode/shared-scratch.ts';
import { probeMatrices } from '../device/probe.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { registerAttentionGradients, unregisterAttentionGradients } from './attention-gradients.ts';
import {
  FLASH_KERNEL,
  HIP_KERNEL,
  registerAttention,
  SPARSE_KERNEL,
  unregisterAttention,
  type AttentionAttributes,
  type DeviceMask,
} from './attention-kernels.ts';
import { contextOfBackend, webgpuBackend } from './backend-buffers.ts';
import { LayerCache, type LayerCacheOptions } from './layer-cache.ts';

export { FLASH_KERNEL, HIP_KERNEL, SPARSE_KERNEL, type AttentionAttributes, type DeviceMask };
export type { AttendOptions, LayerCache, LayerCacheOptions } from './layer-cache.ts';

/** The registered kernels. */
export interface WebgpuKernels extends Disposable {
  /** Of tfjs' device; its `settled()` reports what error scopes caught. */
  readonly context: GpuContext;
  /** A layer's keys and values in pages that the kernels read in place, with its attention. @throws HipError `invalid-config`, … */
  createCache(options: LayerCacheOptions): LayerCache;
  /** Unregisters the kernels and frees their scratch. */
  close(): void;
}

let current: WebgpuKernels | undefined;

/**
 * Registers the attention kernels and their gradients for tfjs' webgpu backend, which must be the current one. They run on its
 * device, on the buffers of its tensors, without copies. Calling it again replaces the registration.
 *
 * @throws HipError `unsupported` on another backend, `device-lost`
 * @example
 * ```ts
 * await tf.setBackend('webgpu');
 * const kernels = await registerWebgpuKernels();
 * const out = hipAttention(q, k, v);
 * kernels.close();
 * ```
 */
export async function registerWebgpuKernels(): Promise<WebgpuKernels> {
  await tf.ready();
  const backend = webgpuBackend(tf.backend());
  await probeMatrices(backend.device);
  const context = contextOfBackend(backend);
  context.assertAlive();
  current?.close();
  registerAttention();
  registerAttentionGradients();
  const scratch = new SharedScratch(context);
  const close = (): void => {
    if (current !== kernels) return;
    current = undefined;
    unregisterAttention();
    unregisterAttentionGradients();
    scratch[Symbol.dispose]();
    context.pool.clear();
  };
  const createCache = (options: LayerCacheOptions): LayerCache =>
    new LayerCache(context, options, { scratch, isOpen: () => current === kernels });
  const kernels: WebgpuKernels = { context, createCache, close, [Symbol.dispose]: close };
  return (current = kernels);
}

function run(
  kernel: string,
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  attributes: Partial<AttentionAttributes>,
): tf.Tensor4D {
  const attrs = { ...attributes, causal: attributes.causal ?? attributes.config?.causal ?? true };
  return tf.engine().runKernel<tf.Tensor4D>(kernel, { q, k, v }, attrs as unknown as tf.NamedAttrMap);
}

/** HiP attention. q [B, Tq, H, d]; k, v [B, Tk, Hkv, d]. Differentiable. */
export function hipAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  attributes: Partial<AttentionAttributes> = {},
): tf.Tensor4D {
  return run(HIP_KERNEL, q, k, v, attributes);
}

/** Attention over a mask found earlier, its sinks and window. Differentiable. */
export function blockSparseAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  mask: BlockMask | DeviceMask,
  attributes: Pick<AttentionAttributes, 'scale' | 'softcap'> = {},
): tf.Tensor4D {
  return run(SPARSE_KERNEL, q, k, v, { ...attributes, causal: mask.causal, mask });
}

/** Exact attention without the T×T matrix. Differentiable. */
export function flashAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  attributes: Partial<Omit<AttentionAttributes, 'config' | 'onMask'>> = {},
): tf.Tensor4D {
  return run(FLASH_KERNEL, q, k, v, attributes);
}
