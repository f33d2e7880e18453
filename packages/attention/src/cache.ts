// A KV cache for tfjs models: one tensor of keys and one of values per layer, grown by appending.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';

/** Keys and values of a layer, [B, T, Hkv, d]. */
export interface KeysAndValues {
  readonly k: tf.Tensor4D;
  readonly v: tf.Tensor4D;
}

export interface KvCacheOptions {
  /** Tokens a layer may hold: refuses to grow beyond. @defaultValue none */
  readonly maxTokens?: number | undefined;
}

/**
 * Keys and values of earlier tokens, float32. Fits the cache parameter of @instatune/supernet's models.
 * Appending copies the layer once (O(T) bytes), which is what handing tfjs one tensor of everything costs.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { KvCache } from '@hip/attention';
 *
 * using cache = new KvCache({ maxTokens: 4096 });
 * cache.append(0, tf.ones([1, 10, 2, 64]), tf.ones([1, 10, 2, 64]));
 * const { k } = cache.append(0, tf.ones([1, 1, 2, 64]), tf.ones([1, 1, 2, 64]));
 * console.log(k.shape[1]); // 11
 * ```
 */
export class KvCache implements Disposable {
  readonly #layers = new Map<number, KeysAndValues>();
  readonly #maxTokens: number;

  /** @throws HipError `invalid-config` */
  constructor({ maxTokens = Infinity }: KvCacheOptions = {}) {
    checkMaxTokens(maxTokens);
    this.#maxTokens = maxTokens;
  }

  /** Tokens of the layer that holds fewest: all layers agree between forward passes. */
  get length(): number {
    return this.#layers.size === 0 ? 0 : Math.min(...[...this.#layers.values()].map(({ k }) => k.shape[1]));
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return [...this.#layers.values()].reduce((sum, { k, v }) => sum + (k.size + v.size) * 4, 0);
  }

  /**
   * Appends k, v [B, T, Hkv, d] to a layer and returns all of it [B, cached + T, Hkv, d]. The caller disposes the result (or runs
   * inside tf.tidy); the cache keeps its own reference.
   *
   * @throws HipError `invalid-shape` when the shapes do not continue the layer's, `unsupported` unless both are float32, `out-of-memory`
   * beyond maxTokens
   */
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues {
    const held = this.#layers.get(layer);
    const first = held?.k.shape;
    checkAppended(layer, { k, v }, first);
    const tokens = (first?.[1] ?? 0) + k.shape[1];
    if (tokens > this.#maxTokens) {
      throw new HipError(
        'out-of-memory',
        `layer ${layer} would hold ${tokens} tokens: the cache was made for ${this.#maxTokens}`,
        { layer, tokens, maxTokens: this.#maxTokens },
      );
    }
    const grown: KeysAndValues = {
      k: tf.keep(held ? tf.concat<tf.Tensor4D>([held.k, k], 1) : k.clone()),
      v: tf.keep(held ? tf.concat<tf.Tensor4D>([held.v, v], 1) : v.clone()),
    };
    if (held) tf.dispose([held.k, held.v]);
    this.#layers.set(layer, grown);
    return { k: grown.k.clone(), v: grown.v.clone() };
  }

  /** Frees all layers; appending afterwards starts anew. */
  dispose(): void {
    for (const { k, v } of this.#layers.values()) tf.dispose([k, v]);
    this.#layers.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** @throws HipError `invalid-config` */
export function checkMaxTokens(maxTokens: number): void {
  if (maxTokens === Infinity || (Number.isSafeInteger(maxTokens) && maxTokens >= 1)) return;
  const message = `maxTokens is ${maxTokens}: give an integer >= 1, or leave it out`;
  throw new HipError('invalid-config', message, { name: 'maxTokens', value: maxTokens });
}

/** @param before [B, T, Hkv, d] of the layer's tokens so far @throws HipError `invalid-shape`, `unsupported` */
export function checkAppended(layer: number, { k, v }: KeysAndValues, before: readonly number[] | undefined): void {
  const fits =
    k.rank === 4 &&
    k.shape.join() === v.shape.join() &&
    (!before || [0, 2, 3].every((axis) => before[axis] === k.shape[axis]));
  if (!fits) {
    throw new HipError(
      'invalid-shape',
      `k is [${k.shape.join()}], v [${v.shape.join()}]: give both as [B, T, Hkv, d]${before ? ` that continues layer ${layer}'s [${before.join()}]` : ''}`,
      { layer, k: k.shape, v: v.shape },
    );
  }
  if (k.dtype !== 'float32' || v.dtype !== 'float32') {
    const message = `k is ${k.dtype}, v ${v.dtype}: cast both to float32`;
    throw new HipError('unsupported', message, { layer, k: k.dtype, v: v.dtype });
  }
}
