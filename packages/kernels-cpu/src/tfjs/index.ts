// tfjs kernels and ops: `await registerCpuKernels()`, then hipAttention and flashAttention work on the cpu and wasm backends.
import * as tf from '@tensorflow/tfjs';
import { HipError, type BlockMask } from '@hip/mask-search';
import { createCpuRuntime } from '../runtime/create.ts';
import type { CpuRuntimeOptions } from '../runtime/options.ts';
import type { CpuRuntime } from '../runtime/runtime.ts';
import {
  FLASH_KERNEL,
  GRADIENT_KERNEL,
  HIP_KERNEL,
  SPARSE_KERNEL,
  registerAttention,
  registerAttentionGradients,
  type AttentionAttributes,
} from './attention-kernels.ts';
import { registerMatmul } from './matmul-kernels.ts';

export { FLASH_KERNEL, GRADIENT_KERNEL, HIP_KERNEL, SPARSE_KERNEL, type AttentionAttributes };

export interface RegisterOptions extends CpuRuntimeOptions {
  /** Also replace tfjs-wasm's matrix products by threaded ones. @defaultValue false */
  readonly matmul?: boolean | undefined;
}

let current: CpuRuntime | undefined;

function requireRuntime(): CpuRuntime {
  if (!current) throw new HipError('internal', 'the CPU kernels are not registered: await registerCpuKernels() first');
  return current;
}

/**
 * Starts the CPU runtime and registers its kernels for the `cpu` and `wasm` backends. Calling it again replaces the runtime.
 *
 * @returns the runtime; closing it makes the attention kernels unusable until the next registration, and products tfjs' own again
 */
export async function registerCpuKernels({ matmul = false, ...options }: RegisterOptions = {}): Promise<CpuRuntime> {
  const next = await createCpuRuntime(options);
  current?.close();
  current = next;
  for (const backend of ['cpu', 'wasm']) registerAttention(backend, requireRuntime);
  registerAttentionGradients();
  if (matmul) registerMatmul(requireRuntime);
  return next;
}

/** HiP attention on the current tfjs backend. q [B, Tq, H, d]; k, v [B, Tk, Hkv, d]. Differentiable. */
export function hipAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  attributes: Partial<AttentionAttributes> = {},
): tf.Tensor4D {
  return run(HIP_KERNEL, q, k, v, attributes);
}

/** Attention over a mask found earlier, its sinks and window, on the current tfjs backend. Differentiable. */
export function blockSparseAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  mask: BlockMask,
  attributes: Pick<AttentionAttributes, 'scale' | 'softcap'> = {},
): tf.Tensor4D {
  return run(SPARSE_KERNEL, q, k, v, { ...attributes, causal: mask.causal, mask });
}

/** Exact attention without the T×T matrix on the current tfjs backend. Differentiable. */
export function flashAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  attributes: Partial<Omit<AttentionAttributes, 'config' | 'onMask'>> = {},
): tf.Tensor4D {
  return run(FLASH_KERNEL, q, k, v, attributes);
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
