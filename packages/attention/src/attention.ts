// hipAttention, denseAttention and maskedAttention for tfjs tensors on whichever backend is current.
import * as tf from '@tensorflow/tfjs';
import { HipError, resolveConfig, type BlockMask, type HipConfig } from '@hip/mask-search';
import { FLASH_KERNEL, HIP_KERNEL, SPARSE_KERNEL } from '@hip/kernels-cpu/tfjs';
import type { DeviceMask } from '@hip/kernels-webgpu/tfjs';
import { requirePrepared } from './backend.ts';
import { chooseDense } from './break-even.ts';

/** What turns q·k into a logit. */
export interface ScoreOptions {
  /** @defaultValue 1/√d */
  readonly scale?: number | undefined;
  /** Logit soft-cap c: s → c·tanh(s/c). @defaultValue none */
  readonly softcap?: number | undefined;
}

export interface DenseAttentionOptions extends ScoreOptions {
  /** Key j is visible to row i iff j <= i + (Tk − Tq). @defaultValue true */
  readonly causal?: boolean | undefined;
}

export interface HipAttentionOptions extends ScoreOptions {
  /** Wins over `config.causal`. @defaultValue true */
  readonly causal?: boolean | undefined;
  /** Parameters of the search (docs/specification/hip.md §2, §3). @defaultValue DEFAULT_CONFIG of @hip/mask-search */
  readonly config?: Partial<HipConfig> | undefined;
  /** `auto`: dense where {@link chooseDense} says it is the faster one; `never`; `always`. @defaultValue 'auto' */
  readonly dense?: 'auto' | 'never' | 'always' | undefined;
  /** Receives the mask, on webgpu after it was read back; not called where the call ran dense. */
  readonly onMask?: ((mask: BlockMask) => void) | undefined;
}

/** A mask that later calls can use without moving it: on cpu and wasm in the host's memory, on webgpu on the GPU. */
export type KeptMask = BlockMask | DeviceMask;

/** Frees a mask on the GPU. */
export function releaseMask(mask: KeptMask): void {
  if ('destroy' in mask) mask.destroy();
}

const CHOICES: readonly string[] = ['auto', 'never', 'always'];

/**
 * Attention over the keys that matter: O(T) memory, no key out of reach; O(T log T) time with the paper's tree, a small quadratic
 * term with the default's stages. Differentiable; the gradient holds the mask of the forward pass fixed.
 *
 * @param q [B, Tq, H, d]; row i stands at position Tk − Tq + i
 * @param k [B, Tk, Hkv, d], H a multiple of Hkv
 * @param v [B, Tk, Hkv, d]
 * @returns [B, Tq, H, d]
 * @throws HipError `unsupported` before `prepareAttention()`, `invalid-config`, `invalid-shape`, `out-of-memory`
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { hipAttention, prepareAttention } from '@hip/attention';
 *
 * await tf.setBackend('cpu');
 * const prepared = await prepareAttention();
 * const q = tf.randomNormal([1, 4096, 4, 64]) as tf.Tensor4D;
 * const k = tf.randomNormal([1, 4096, 2, 64]) as tf.Tensor4D;
 * const v = tf.randomNormal([1, 4096, 2, 64]) as tf.Tensor4D;
 * const out = hipAttention(q, k, v, { config: { k: 256 } });
 * console.log(out.shape); // => [ 1, 4096, 4, 64 ]
 * prepared.close();
 * ```
 */
export function hipAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  options: HipAttentionOptions = {},
): tf.Tensor4D {
  return keepingAttention(q, k, v, options, undefined);
}

/** {@link hipAttention} that hands over the mask during the call, for {@link attendOver}; the receiver releases it. */
export function keepingAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  options: HipAttentionOptions,
  onKept: ((mask: KeptMask) => void) | undefined,
): tf.Tensor4D {
  const { backend } = requirePrepared();
  checkTensors({ q, k, v });
  const { config = {}, dense = 'auto', onMask, causal = resolveConfig(config).causal, ...score } = options;
  checkDense(dense);
  const { k: kept, window, sink } = resolveConfig({ ...config, causal });
  const keys = k.shape[1];
  if (dense === 'always' || (dense === 'auto' && chooseDense(keys, backend, kept + window + sink))) {
    return denseAttention(q, k, v, { ...score, causal });
  }
  if (backend === 'webgpu') return run(HIP_KERNEL, q, k, v, { ...score, causal, config, onMask, onDeviceMask: onKept });
  const receive = (mask: BlockMask): void => {
    onKept?.(mask);
    onMask?.(mask);
  };
  return run(HIP_KERNEL, q, k, v, { ...score, causal, config, onMask: receive });
}

/** Exact attention without the T×T matrix. Shapes, errors and gradient as {@link hipAttention}. */
export function denseAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  options: DenseAttentionOptions = {},
): tf.Tensor4D {
  requirePrepared();
  checkTensors({ q, k, v });
  const { causal = true, ...score } = options;
  if (typeof causal !== 'boolean')
    throw new HipError('invalid-config', `causal is ${String(causal)}: give true or false`, { name: 'causal' });
  return run(FLASH_KERNEL, q, k, v, { ...score, causal });
}

/**
 * Attention over a mask that was found before (by `onMask`, or `searchBlockMask` of @hip/mask-search), its sinks and its window, each
 * key once. Differentiable.
 *
 * @throws HipError `invalid-shape` when the mask was made for other shapes, `invalid-mask` when it is none
 */
export function maskedAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  mask: BlockMask,
  options: ScoreOptions = {},
): tf.Tensor4D {
  return attendOver(q, k, v, mask, options);
}

/** {@link maskedAttention} over a mask wherever it is. */
export function attendOver(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  mask: KeptMask,
  options: ScoreOptions,
): tf.Tensor4D {
  requirePrepared();
  checkTensors({ q, k, v });
  if (!mask) throw new HipError('invalid-mask', `mask is ${String(mask)}: give a BlockMask`, { name: 'mask' });
  return run(SPARSE_KERNEL, q, k, v, { ...options, causal: mask.causal, mask });
}

/** @throws HipError `invalid-config` */
export function checkDense(dense: string): void {
  if (CHOICES.includes(dense)) return;
  throw new HipError('invalid-config', `dense is ${String(dense)}: give one of ${CHOICES.join(', ')}`, {
    name: 'dense',
    value: dense,
  });
}

/** What tfjs itself would trip over later, or not at all. @throws HipError `unsupported` */
export function checkTensors(tensors: Readonly<Record<string, tf.Tensor>>): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    const is = tensor instanceof tf.Tensor ? tensor.isDisposed && 'disposed' : 'no tensor';
    if (is)
      throw new HipError('unsupported', `${name} is ${is}: give a float32 tf.Tensor4D that lives until the call`, {
        name,
      });
  }
}

function run(kernel: string, q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, attributes: object): tf.Tensor4D {
  return tf.engine().runKernel<tf.Tensor4D>(kernel, { q, k, v }, attributes as tf.NamedAttrMap);
}
