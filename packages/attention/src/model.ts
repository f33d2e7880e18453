// Attention for a whole model: the first layers dense, the others HiP, decode with masks that are refreshed every few steps.
import type * as tf from '@tensorflow/tfjs';
import {
  denseMask,
  hasSlowHalf,
  HipError,
  layerConfig,
  resolveConfig,
  suitableConfig,
  type AttentionShape,
  type BlockMask,
  type HeadForm,
  type HipConfig,
  type Rotation,
} from '@hip/mask-search';
import { attendOver, checkDense, denseAttention, keepingAttention, maskedAttention } from './attention.ts';
import { masksOf, ownerOf } from './sequence.ts';

/** What a model tells its attention: the context of @instatune/supernet's `AttentionFunction`, structurally. */
export interface LayerContext {
  readonly layer: number;
  readonly causal: boolean;
  readonly scale: number;
  /** Key padding mask; not supported, see {@link hipModelAttention}. */
  readonly mask?: tf.Tensor;
  /** Sliding window of this layer in tokens: a causal layer attends to exactly these, without any search. @defaultValue none */
  readonly window?: number;
  /**
   * The cache that k and v come from: decode masks are its own. @defaultValue the {@link KvCache} that gave k, or none, and then every
   * token searches
   */
  readonly cache?: object;
  /**
   * How queries and keys of this layer were turned by position. What is not half against half (`other`: neighbouring channels, a part of
   * a head, learned positions) is searched by all channels. @defaultValue 'half-split'
   */
  readonly rotation?: Rotation;
}

/** The attention parameter of @instatune/supernet's models, and of any model that calls it the same way. */
export type ModelAttention = (q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, context: LayerContext) => tf.Tensor4D;

export interface ModelAttentionOptions {
  /** Parameters of the search; `denseLayers`, `layers` and `refreshInterval` among them. @defaultValue DEFAULT_CONFIG */
  readonly config?: Partial<HipConfig> | undefined;
  /** Keys per query block of single layers, by layer, in all of a layer's heads; wins over whatever `config` says. @defaultValue none */
  readonly layerK?: Readonly<Record<number, number>> | undefined;
  /** See `hipAttention`. @defaultValue 'auto' */
  readonly dense?: 'auto' | 'never' | 'always' | undefined;
  /** Receives every mask that is searched. */
  readonly onMask?: ((mask: BlockMask, layer: number) => void) | undefined;
}

/** Dense attention for every layer. */
export function denseModelAttention(): ModelAttention {
  return (q, k, v, context) => slidingAttention(q, k, v, context) ?? denseAttention(q, k, v, scoreOptions(context));
}

/**
 * HiP for every layer from `config.denseLayers` on, or as `config.layers` says (a profile). Single-token calls (decode) reuse a layer's mask for `config.refreshInterval`
 * steps (or the shortest `refresh` of its stages); its window grows meanwhile, so no key falls between the window and what was searched.
 *
 * A stage with a `refresh` of 1, as the default's vote, makes every token search from the first stage on: what earlier stages left lies
 * in the kernels' memory beside the keys, and a cache that hands over tensors has no such place. `hipModelCache` has: there the first
 * stage runs every 8 tokens. Elsewhere the search costs less than the copy of the layer that appending to tensors is.
 *
 * One instance serves any number of sequences: masks belong to the cache they were searched in ({@link LayerContext.cache}), and a
 * cache that was cut back goes on as if what was cut off had never been.
 *
 * @throws HipError `invalid-config`; from the calls also `unsupported` on a padding mask (run sequences of unequal length one by one)
 * and on a sliding window without causality
 *
 * @example
 * ```ts
 * import { hipModelAttention } from '@hip/attention';
 *
 * const attention = hipModelAttention({ config: { k: 512, denseLayers: 1 } });
 * // model.forward(inputs, { attention, cache: new KvCache() })
 * ```
 */
export function hipModelAttention(options: ModelAttentionOptions = {}): ModelAttention {
  const { dense = 'auto', onMask } = options;
  const configs = layerConfigs(options);
  const attention: ModelAttention = (q, k, v, context) => {
    const sliding = slidingAttention(q, k, v, context);
    if (sliding) return sliding;
    const { layer, causal, scale, rotation, cache = ownerOf(k) } = context;
    const [rows, keys] = [q.shape[1], k.shape[1]];
    const config = configs.of(layer, keys, { headDim: q.shape[3], rotation });
    if (config === 'dense') return denseAttention(q, k, v, { causal, scale });
    const interval = tokensServed(config);
    const masks = causal && cache && interval > 1 ? masksOf(cache, attention, layer).at(keys, rows) : undefined;
    const serving = rows === 1 ? masks?.serving(keys, interval) : undefined;
    if (serving) return attendOver(q, k, v, serving, { scale });
    const keep = masks?.search(keys, rows);
    const listener = onMask && ((mask: BlockMask): void => onMask(mask, layer));
    // A prefill's mask serves no later row.
    return keepingAttention(q, k, v, { causal, scale, config, dense, onMask: listener }, rows === 1 ? keep : undefined);
  };
  return attention;
}

/** The parameters of each layer. */
export interface LayerConfigs {
  /** Of a layer whose last row sees `keys` keys, as it suits its heads. */
  of(layer: number, keys: number, heads: HeadForm): HipConfig | 'dense';
}

/** @throws HipError `invalid-config` */
export function layerConfigs({ config = {}, layerK = {}, dense = 'auto' }: ModelAttentionOptions): LayerConfigs {
  checkDense(dense);
  const resolved = resolveConfig(config);
  const { denseTokens = Infinity } = resolved;
  const wrong = Object.entries(layerK).find(([, k]) => !Number.isSafeInteger(k) || k < 1);
  if (wrong) {
    const [layer, k] = wrong;
    throw new HipError('invalid-config', `layerK[${layer}] is ${k}: give an integer >= 1`, {
      name: 'layerK',
      value: k,
    });
  }
  const found = new Map<string, HipConfig | 'dense'>();
  const of = (layer: number, keys: number, heads?: HeadForm): HipConfig | 'dense' => {
    const key = `${layer}/${keys > denseTokens}/${!heads || hasSlowHalf(heads)}`;
    let one = found.get(key);
    if (one) return one;
    one = layerConfig(withLayerK(config, layer, layerK[layer]), layer, keys);
    if (heads && one !== 'dense') one = suitableConfig(one, heads);
    found.set(key, one);
    return one;
  };
  // Now, not at the first token.
  for (const layer of [...Object.keys(layerK), ...(config.layers ?? []).keys()]) of(Number(layer), 0);
  return { of };
}

/** A configuration in which one layer keeps `k` keys in all of its heads. */
function withLayerK(config: Partial<HipConfig>, layer: number, k: number | undefined): Partial<HipConfig> {
  if (k === undefined) return config;
  const count = Math.max(config.layers?.length ?? 0, layer + 1);
  const layers = Array.from({ length: count }, (_, index) => config.layers?.[index] ?? {});
  return { ...config, layers: layers.with(layer, { ...layers[layer], k, kPerHead: undefined }) };
}

/** Tokens that a mask serves for. */
function tokensServed({ stages, refreshInterval }: HipConfig): number {
  return Math.min(...(stages ?? [undefined]).map((stage) => stage?.refresh ?? refreshInterval));
}

function scoreOptions({ causal, scale }: LayerContext): { causal: boolean; scale: number } {
  return { causal, scale };
}

/** Attention of a sliding-window layer, exact. Undefined where nothing slides. */
function slidingAttention(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: LayerContext,
): tf.Tensor4D | undefined {
  refuseForeign(context);
  const { layer, window, causal, scale } = context;
  if (window === undefined) return undefined;
  if (!causal)
    throw new HipError('unsupported', 'a sliding window without causality: use the dense attention of the model', {
      layer,
      window,
    });
  if (window >= k.shape[1]) return denseAttention(q, k, v, { causal, scale });
  const shape: AttentionShape = {
    batch: q.shape[0],
    queries: q.shape[1],
    keys: k.shape[1],
    heads: q.shape[2],
    kvHeads: k.shape[2],
    headDim: q.shape[3],
  };
  return maskedAttention(q, k, v, slidingMask(shape, window), { scale });
}

/** No blocks, only the window: each row attends to exactly its last keys. */
export function slidingMask(shape: AttentionShape, window: number): BlockMask {
  return { ...denseMask(shape, true), window };
}

/** What no attention here takes. @throws HipError `unsupported` on a padding mask, `invalid-config` on a window that is none */
export function refuseForeign({ layer, mask, window }: LayerContext): void {
  if (mask) {
    throw new HipError(
      'unsupported',
      'a padding mask was given: run sequences of unequal length one by one, unpadded',
      {
        layer,
      },
    );
  }
  if (window !== undefined && (!Number.isSafeInteger(window) || window < 1)) {
    const message = `window is ${window}: give an integer >= 1, or leave it out for full attention`;
    throw new HipError('invalid-config', message, { layer, name: 'window', value: window });
  }
}
