// What measureFidelity asks of a model, and a run of it: an attention function with a cache of its own.
import * as tf from '@tensorflow/tfjs';
import { HipError, type BlockMask } from '@hip/mask-search';
import { KvCache, type KeysAndValues } from '../cache.ts';
import { hipModelCache } from '../model-cache.ts';
import { hipModelAttention, type ModelAttention, type ModelAttentionOptions } from '../model.ts';

/** Keys and values of earlier tokens, as a model appends to them. */
export interface MeasuredCache {
  readonly length: number;
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues;
  truncate(length: number): void;
  dispose(): void;
}

/** A causal language model that takes an attention function. The models of @instatune/supernet are such. */
export interface MeasuredModel {
  /**
   * Final hidden states of the next tokens, which `inputIds` [1, T] are: `logits` [1, T, D]. Each layer appends its keys and values to
   * the cache, and attends with `attention` over what that returns.
   */
  forward(
    inputs: { readonly inputIds: tf.Tensor2D },
    options: { readonly cache: MeasuredCache; readonly attention: ModelAttention; readonly logits: 'hidden' },
  ): { readonly logits: tf.Tensor };
  /** Logits [N, vocabulary] of hidden states [N, D]. */
  languageLogits(hidden: tf.Tensor2D): tf.Tensor2D;
}

/** Makes an attention that is no HiP, or not this package's; it calls `onMask` with each mask it attends over. */
export type AttentionFactory = (onMask: (mask: BlockMask, layer: number) => void) => ModelAttention;

/** What is compared to dense attention. */
export type RunOptions = ModelAttentionOptions | AttentionFactory;

export interface Run {
  readonly attention: ModelAttention;
  readonly cache: MeasuredCache;
}

/** As a user would run it: with the cache that the kernels read in place where it is this package's attention. */
export function startRun(options: RunOptions): Run {
  if (typeof options === 'function') return { attention: options(() => {}), cache: new KvCache() };
  const cache = hipModelCache(options);
  return { attention: cache.attention, cache };
}

/** The same attention on tensors of another run, its masks shown. */
export function attentionOf(options: RunOptions, onMask: (mask: BlockMask, layer: number) => void): ModelAttention {
  if (typeof options === 'function') return options(onMask);
  const receive = (mask: BlockMask, layer: number): void => {
    onMask(mask, layer);
    options.onMask?.(mask, layer);
  };
  return hipModelAttention({ ...options, onMask: receive });
}

/** Hidden states [T, D] of the next tokens; the caller disposes. @throws HipError `invalid-shape` */
export function hiddenStates(model: MeasuredModel, ids: Int32Array, { attention, cache }: Run): tf.Tensor2D {
  return tf.tidy(() => {
    const inputIds = tf.tensor2d(ids, [1, ids.length], 'int32');
    const { logits } = model.forward({ inputIds }, { cache, attention, logits: 'hidden' });
    if (logits.rank !== 3 || logits.shape[1] !== ids.length) {
      const message = `the model gave [${logits.shape.join()}] for ${ids.length} tokens: give hidden states [1, ${ids.length}, D] with logits: 'hidden'`;
      throw new HipError('invalid-shape', message, { shape: logits.shape, tokens: ids.length });
    }
    return tf.reshape(logits, [ids.length, logits.shape[2]!]);
  });
}
