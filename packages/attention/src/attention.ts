// hipAttention and denseAttention for tfjs tensors on whichever backend is current.
import * as tf from '@tensorflow/tfjs';
import { type BlockMask, type HipConfig } from '@hip/mask-search';
import { FLASH_KERNEL, HIP_KERNEL, SPARSE_KERNEL } from '@hip/kernels-cpu/tfjs';
import { requirePrepared } from './backend.ts';
import { chooseDense } from './break-even.ts';

export interface DenseAttentionOptions {
  /** Key j is visible to row i iff j <= i + (Tk − Tq). @defaultValue true */
  readonly causal?: boolean;
  /** @defaultValue 1/√d */
  readonly scale?: number;
  /** Logit soft-cap. @defaultValue none */
  readonly softcap?: number;
}

export interface HipAttentionOptions extends DenseAttentionOptions {
  /** Parameters of the search. @defaultValue DEFAULT_CONFIG of @hip/mask-search */
  readonly config?: Partial<HipConfig>;
  /** `auto`: dense below the break-even length; `never`; `always`. @defaultValue 'auto' */
  readonly dense?: 'auto' | 'never' | 'always';
  /** Receives the mask; not called where the call ran dense. */
  readonly onMask?: (mask: BlockMask) => void;
}

/**
 * Attention over the keys that matter: O(T log T) time, O(T) memory, no key out of reach. Differentiable.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d] @param v [B, Tk, Hkv, d], H a multiple of Hkv; query i stands at Tk − Tq + i
 * @returns [B, Tq, H, d]
 * @throws HipError `unsupported` before `prepareAttention()`, `invalid-config`, `invalid-shape`, `out-of-memory`
 * @example
 * ```ts
 * await tf.setBackend('wasm');
 * await prepareAttention();
 * const out = hipAttention(q, k, v, { config: { k: 512 } });
 * ```
 */
export function hipAttention(q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, options: HipAttentionOptions = {}): tf.Tensor4D {
  const { backend } = requirePrepared();
  const { config = {}, dense = 'auto', onMask, ...rest } = options;
  if (dense === 'always' || (dense === 'auto' && chooseDense(k.shape[1], backend, config))) return denseAttention(q, k, v, rest);
  return run(HIP_KERNEL, q, k, v, { causal: true, ...rest, config, onMask });
}

/** Exact attention without the T×T matrix. Shapes, errors and gradient as {@link hipAttention}. */
export function denseAttention(q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, options: DenseAttentionOptions = {}): tf.Tensor4D {
  requirePrepared();
  return run(FLASH_KERNEL, q, k, v, { causal: true, ...options });
}

/** Attention over a mask found before. */
export function maskedAttention(q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, mask: BlockMask, options: Omit<DenseAttentionOptions, 'causal'> = {}): tf.Tensor4D {
  requirePrepared();
  return run(SPARSE_KERNEL, q, k, v, { ...options, causal: mask.causal, mask });
}

function run(kernel: string, q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, attributes: object): tf.Tensor4D {
  return tf.engine().runKernel(kernel, { q, k, v }, attributes as tf.NamedAttrMap) as tf.Tensor4D;
}
