// The cache and the attention of a whole model in one: keys and values stay where the kernels read them.
import * as tf from '@tensorflow/tfjs';
import { HipError, type AttentionShape } from '@hip/mask-search';
import type { CpuRuntime, KeyValueCache } from '@hip/kernels-cpu';
import { checkTensors } from './attention.ts';
import { requirePrepared, type AttentionBackend } from './backend.ts';
import { chooseDense } from './break-even.ts';
import { KvCache, checkAppended, checkMaxTokens, type KeysAndValues } from './cache.ts';
import {
  hipModelAttention,
  layerConfigs,
  refuseForeign,
  slidingMask,
  type LayerConfigs,
  type LayerContext,
  type ModelAttention,
  type ModelAttentionOptions,
} from './model.ts';
import { checkLength, checkPass } from './pass.ts';
import { ownerOf, setOwner } from './sequence.ts';

export interface ModelCacheOptions extends ModelAttentionOptions {
  /** Tokens a layer may hold: refuses to grow beyond. @defaultValue none */
  readonly maxTokens?: number | undefined;
  /** On cpu and wasm float16 halves the memory; keys and values are rounded to 11 bits. @defaultValue 'f32' */
  readonly type?: 'f32' | 'f16' | undefined;
}

/** What {@link hipModelCache} makes: pass it as a model's `cache`, and its `attention` as the model's `attention`. */
export interface ModelCache extends Disposable {
  /** Tokens of the layer that holds fewest: all layers agree between forward passes. */
  readonly length: number;
  /** Bytes of all keys and values. */
  readonly bytes: number;
  /** HiP attention over this cache; good for nothing without it. */
  readonly attention: ModelAttention;
  /**
   * Takes the keys and values of a layer's next tokens, k and v [B, T, Hkv, d]. Returns what `attention` wants to be called with; the
   * caller disposes it (or runs inside tf.tidy).
   *
   * @throws HipError `invalid-shape`, `unsupported` (not float32; a layer's last tokens were never attended from: `attention` was not
   * passed; or the pass before did not reach every layer), `out-of-memory` beyond maxTokens
   */
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues;
  /**
   * Keeps the first `length` tokens of every layer: takes back a pass that failed, or a turn of a conversation, with the masks that were
   * searched since. On cpu and wasm the memory stays the cache's own, but for 0.
   *
   * @throws HipError `invalid-config` unless `length` is an integer from 0 to {@link length}
   */
  truncate(length: number): void;
  /** Frees all layers; appending afterwards starts anew. */
  dispose(): void;
}

/**
 * {@link hipModelAttention} with a key/value cache that the kernels read in place. On cpu and wasm they stay in the kernels' own
 * memory: a decoded token costs what is attended, not a copy of everything before it ({@link KvCache} hands tfjs whole tensors). On
 * webgpu it is a `KvCache` and `hipModelAttention`. For inference: no gradient. One instance serves one sequence (or a batch of equal
 * lengths).
 *
 * A layer whose attention throws is as it was before; a pass that throws after some layers is taken back by `truncate` (supernet's
 * models do), else the next one is refused.
 *
 * @throws HipError `unsupported` before `prepareAttention()`, `invalid-config`; from `attention` also `unsupported` on a padding mask,
 * on a model that is not causal, and once its runtime was closed
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { hipModelCache, prepareAttention } from '@hip/attention';
 *
 * await tf.setBackend('cpu');
 * using prepared = await prepareAttention();
 * using cache = hipModelCache({ config: { k: 256 } });
 * const { attention } = cache; // model.forward(inputs, { cache, attention }), or a layer's part of it:
 * const x = (heads: number, tokens: number) => tf.randomNormal([1, tokens, heads, 32]) as tf.Tensor4D;
 * for (const tokens of [4096, 1, 1]) {
 *   const { k, v } = cache.append(0, x(2, tokens), x(2, tokens));
 *   attention(x(4, tokens), k, v, { layer: 0, causal: true, scale: 32 ** -0.5 });
 * }
 * console.log([cache.length, prepared.backend]); // => [ 4098, 'cpu' ]
 * ```
 */
export function hipModelCache(options: ModelCacheOptions = {}): ModelCache {
  const { backend, cpu } = requirePrepared();
  const { type = 'f32', maxTokens } = options;
  if (type !== 'f32' && type !== 'f16') {
    throw new HipError('invalid-config', `type is ${String(type)}: give 'f32' or 'f16'`, { name: 'type', value: type });
  }
  if (cpu) return new ResidentCache(cpu, backend, options);
  if (type !== 'f32') {
    throw new HipError('unsupported', `a cache of ${type} on tfjs backend "${backend}": leave type out`, {
      type,
      backend,
    });
  }
  const cache = new KvCache({ maxTokens });
  return Object.assign(cache, { attention: hipModelAttention(options) });
}

interface Layer {
  readonly held: KeyValueCache;
  readonly shape: Omit<AttentionShape, 'queries' | 'keys'>;
  readonly scale: number;
  readonly rotation: LayerContext['rotation'];
}

class ResidentCache implements ModelCache {
  readonly #runtime: CpuRuntime;
  readonly #backend: AttentionBackend;
  readonly #options: ModelCacheOptions;
  readonly #configs: LayerConfigs;
  readonly #layers = new Map<number, Layer>();
  /** Layers whose newest tokens wait for the attention that stores them. */
  readonly #waiting = new Set<number>();

  constructor(runtime: CpuRuntime, backend: AttentionBackend, options: ModelCacheOptions) {
    this.#runtime = runtime;
    this.#backend = backend;
    this.#options = options;
    this.#configs = layerConfigs(options);
    // Now, not at the first token.
    if (options.maxTokens !== undefined) checkMaxTokens(options.maxTokens);
  }

  get length(): number {
    return this.#layers.size === 0 ? 0 : Math.min(...this.#lengths().values());
  }

  get bytes(): number {
    return [...this.#layers.values()].reduce((sum, { held }) => sum + held.bytes, 0);
  }

  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues {
    checkTensors({ k, v });
    const known = this.#layers.get(layer);
    const before = known && [known.shape.batch, known.held.length, known.shape.kvHeads, known.shape.headDim];
    checkAppended(layer, { k, v }, before);
    if (this.#waiting.has(layer)) {
      throw new HipError(
        'unsupported',
        `layer ${layer} got tokens before those of the last call were attended from: pass attention: cache.attention where you pass the cache`,
        { layer },
      );
    }
    checkPass(layer, k.shape[1], this.#lengths());
    const given = { k: k.clone(), v: v.clone() };
    setOwner(given.k, this);
    this.#waiting.add(layer);
    return given;
  }

  truncate(length: number): void {
    checkLength(length, this.length);
    this.#waiting.clear();
    if (length === 0) this.dispose();
    for (const { held } of this.#layers.values()) held.truncate(length);
  }

  readonly attention: ModelAttention = (q, k, v, context) => {
    const { layer, causal } = context;
    if ((ownerOf(k) ?? this) !== this) {
      throw new HipError('unsupported', `k of layer ${layer} is another cache's: pass the attention of that cache`, {
        layer,
      });
    }
    if (!this.#waiting.delete(layer)) {
      throw new HipError('unsupported', `layer ${layer} has no new tokens: append them to this cache first`, { layer });
    }
    // What is refused from here on is not stored: the layer can go on.
    checkTensors({ q, k, v });
    refuseForeign(context);
    if (!causal) throw new HipError('unsupported', 'a cache serves causal models: run this one without', { layer });
    const known = this.#layerOf(q, k, context);
    const before = known.held.length;
    try {
      known.held.append(k.dataSync() as Float32Array, v.dataSync() as Float32Array);
      return tf.tensor4d(this.#attend(known, q, context), q.shape);
    } catch (error) {
      if (before > 0) known.held.truncate(before);
      else this.#drop(layer, known);
      throw error;
    }
  };

  dispose(): void {
    for (const { held } of this.#layers.values()) held.dispose();
    this.#layers.clear();
    this.#waiting.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #lengths(): Map<number, number> {
    return new Map(Array.from(this.#layers, ([layer, { held }]) => [layer, held.length]));
  }

  #drop(layer: number, { held }: Layer): void {
    this.#layers.delete(layer);
    held.dispose();
  }

  #layerOf(q: tf.Tensor4D, k: tf.Tensor4D, { layer, scale, rotation }: LayerContext): Layer {
    const [batch, , heads, headDim] = q.shape;
    const shape = { batch, heads, kvHeads: k.shape[2], headDim };
    const known = this.#layers.get(layer);
    if (!known) {
      const { maxTokens, type } = this.#options;
      // A dense layer may turn sparse when the text is long.
      const longest = this.#configs.of(layer, Infinity, { headDim, rotation });
      const config = longest === 'dense' ? {} : longest;
      const limits = { ...(maxTokens !== undefined && { maxTokens }), ...(type && { type }) };
      const created = {
        held: this.#runtime.createCache({ ...shape, ...limits, config, scale }),
        shape,
        scale,
        rotation,
      };
      this.#layers.set(layer, created);
      return created;
    }
    const isSame = known.shape.batch === batch && known.shape.heads === heads && known.shape.headDim === headDim;
    if (!isSame || q.rank !== 4) {
      throw new HipError(
        'invalid-shape',
        `q is [${q.shape.join()}]: give [${known.shape.batch}, T, ${known.shape.heads}, ${known.shape.headDim}] as before`,
        { layer, q: q.shape },
      );
    }
    if (known.scale !== scale) {
      throw new HipError('invalid-config', `scale is ${scale}, and was ${known.scale} when the layer began: keep it`, {
        name: 'scale',
        value: scale,
        layer,
      });
    }
    return known;
  }

  #attend({ held, shape, rotation }: Layer, q: tf.Tensor4D, { layer, window }: LayerContext): Float32Array {
    const rows = q.dataSync() as Float32Array;
    const { dense = 'auto', onMask } = this.#options;
    const keys = held.length;
    if (window !== undefined && window < keys) {
      return held.attendMasked(rows, slidingMask({ ...shape, queries: q.shape[1], keys }, window));
    }
    const { k, window: recent, sink } = held.config;
    const isDense =
      dense === 'always' ||
      this.#configs.of(layer, keys, { headDim: shape.headDim, rotation }) === 'dense' ||
      (dense === 'auto' && chooseDense(keys, this.#backend, k + recent + sink));
    // A window that reaches every key is dense attention.
    if (window !== undefined || isDense) return held.attendDense(rows);
    if (q.shape[1] > 1) {
      const { output, mask } = held.attend(rows);
      onMask?.(mask, layer);
      return output;
    }
    const before = held.mask;
    const output = held.decode(rows);
    if (held.mask && held.mask !== before) onMask?.(held.mask, layer);
    return output;
  }
}
