// Attention for a whole model: the first layers dense, the others HiP, decode with masks that are refreshed every few steps.
import type * as tf from '@tensorflow/tfjs';
import { resolveConfig, type BlockMask, type HipConfig } from '@hip/mask-search';
import { denseAttention, hipAttention, maskedAttention } from './attention.ts';

/** What a model tells its attention. */
export interface LayerContext {
  readonly layer: number;
  readonly causal: boolean;
  readonly scale: number;
}

/** The attention parameter of @instatune/supernet's models, and of any model that calls it the same way. */
export type ModelAttention = (q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, context: LayerContext) => tf.Tensor4D;

export interface ModelAttentionOptions {
  readonly config?: Partial<HipConfig>;
  /** See `hipAttention`. @defaultValue 'auto' */
  readonly dense?: 'auto' | 'never' | 'always';
  /** Receives every mask that is searched. */
  readonly onMask?: (mask: BlockMask, layer: number) => void;
}

/** Dense attention for every layer. */
export function denseModelAttention(): ModelAttention {
  return (q, k, v, { causal, scale }) => denseAttention(q, k, v, { causal, scale });
}

/**
 * HiP for every layer from `config.denseLayers` on. Single-token calls (decode) reuse a layer's mask for `config.refreshInterval`
 * steps; the window covers what was added meanwhile.
 *
 * One instance serves one sequence; make another for the next.
 */
export function hipModelAttention({ config = {}, dense = 'auto', onMask }: ModelAttentionOptions = {}): ModelAttention {
  const { denseLayers, refreshInterval, window } = resolveConfig(config);
  const cached = new Map<number, { readonly mask: BlockMask; readonly age: number }>();
  const interval = Math.min(refreshInterval, window);
  return (q, k, v, { layer, causal, scale }) => {
    if (layer < denseLayers) return denseAttention(q, k, v, { causal, scale });
    const decoding = q.shape[1] === 1 && causal;
    const last = cached.get(layer);
    if (decoding && last && last.age < interval && k.shape[1] === last.mask.keys + 1) {
      const mask = { ...last.mask, keys: k.shape[1] };
      cached.set(layer, { mask, age: last.age + 1 });
      return maskedAttention(q, k, v, mask, { scale });
    }
    cached.delete(layer);
    return hipAttention(q, k, v, {
      causal,
      scale,
      config,
      dense,
      onMask: (mask) => {
        if (decoding) cached.set(layer, { mask, age: 1 });
        onMask?.(mask, layer);
      },
    });
  };
}
