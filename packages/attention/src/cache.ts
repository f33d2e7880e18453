// A KV cache for tfjs models: one tensor of keys and one of values per layer, grown by appending.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import { checkLength, checkPass } from './pass.ts';
import { setOwner, truncateMasks } from './sequence.ts';

/** Keys and values of a layer, [B, T, Hkv, d]. */
export interface KeysAndValues {
  readonly k: tf.Tensor4D;
  readonly v: tf.Tensor4D;
}

export interface KvCacheOptions {
  /** Tokens a layer may hold: refuses to grow beyond. @defaultValue none */
  readonly maxTokens?: number | undefined;
}

/** A layer; of a cache that was cut back the tensors hold more tokens than count. */
interface Layer extends KeysAndValues {
  readonly length: number;
}

/**
 * Keys and values of earlier tokens, float32. Fits the cache parameter of @instatune/supernet's models.
 * Appending copies the layer once (O(T) bytes), which is what handing tfjs one tensor of everything costs.
 *
 * A pass through a model appends the same tokens to every layer. One that throws in the middle leaves layers of unequal length: take it
 * back with {@link truncate} (supernet's models do), or the next pass is refused.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { KvCache } from '@hip/attention';
 *
 * using cache = new KvCache({ maxTokens: 4096 });
 * cache.append(0, tf.ones([1, 10, 2, 64]), tf.ones([1, 10, 2, 64]));
 * const { k } = cache.append(0, tf.ones([1, 1, 2, 64]), tf.ones([1, 1, 2, 64]));
 * console.log(k.shape[1]); // => 11
 * cache.truncate(10);
 * console.log(cache.length); // => 10
 * ```
 */
export class KvCache implements Disposable {
  readonly #layers = new Map<number, Layer>();
  readonly #maxTokens: number;

  /** @throws HipError `invalid-config` */
  constructor({ maxTokens = Infinity }: KvCacheOptions = {}) {
    checkMaxTokens(maxTokens);
    this.#maxTokens = maxTokens;
  }

  /** Tokens of the layer that holds fewest: all layers agree between forward passes. */
  get length(): number {
    return this.#layers.size === 0 ? 0 : Math.min(...this.#lengths().values());
  }

  /** Bytes of all keys and values; what was cut off counts until its layer is appended to. */
  get bytes(): number {
    return [...this.#layers.values()].reduce((sum, { k, v }) => sum + (k.size + v.size) * 4, 0);
  }

  /**
   * Appends k, v [B, T, Hkv, d] to a layer and returns all of it [B, cached + T, Hkv, d]. The caller disposes the result (or runs
   * inside tf.tidy); the cache keeps its own reference.
   *
   * @throws HipError `invalid-shape` when the shapes do not continue the layer's, `unsupported` unless both are float32 and after a
   * pass that did not reach every layer, `out-of-memory` beyond maxTokens. The cache is then as it was
   */
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues {
    const held = this.#layers.get(layer);
    const before = held && [held.k.shape[0], held.length, held.k.shape[2], held.k.shape[3]];
    checkAppended(layer, { k, v }, before);
    checkPass(layer, k.shape[1], this.#lengths());
    const tokens = (held?.length ?? 0) + k.shape[1];
    if (tokens > this.#maxTokens) {
      throw new HipError(
        'out-of-memory',
        `layer ${layer} would hold ${tokens} tokens: the cache was made for ${this.#maxTokens}`,
        { layer, tokens, maxTokens: this.#maxTokens },
      );
    }
    // Both or none: where memory ends between the two, tidy frees the first.
    const grown = tf.tidy(() => ({ k: grow(held?.k, held?.length, k), v: grow(held?.v, held?.length, v) }));
    tf.keep(grown.k);
    tf.keep(grown.v);
    if (held) tf.dispose([held.k, held.v]);
    this.#layers.set(layer, { ...grown, length: tokens });
    const given = { k: grown.k.clone(), v: grown.v.clone() };
    setOwner(given.k, this);
    return given;
  }

  /**
   * Keeps the first `length` tokens of every layer: takes back a pass that failed, or a turn of a conversation. Masks that were searched
   * with more are forgotten. Allocates nothing; a layer's memory is given back when it is next appended to, at 0 at once.
   *
   * @throws HipError `invalid-config` unless `length` is an integer from 0 to {@link length}
   */
  truncate(length: number): void {
    checkLength(length, this.length);
    truncateMasks(this, length);
    if (length === 0) this.dispose();
    for (const [index, layer] of this.#layers) this.#layers.set(index, { ...layer, length });
  }

  /** Frees all layers; appending afterwards starts anew. */
  dispose(): void {
    truncateMasks(this, 0);
    for (const { k, v } of this.#layers.values()) tf.dispose([k, v]);
    this.#layers.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #lengths(): Map<number, number> {
    return new Map(Array.from(this.#layers, ([layer, { length }]) => [layer, length]));
  }
}

/** The first `length` tokens of what is held, and the new ones; the caller's alone. */
function grow(held: tf.Tensor4D | undefined, length: number | undefined, added: tf.Tensor4D): tf.Tensor4D {
  if (!held || length === undefined) return added.clone();
  const [batch, tokens, heads, size] = held.shape;
  const kept = length === tokens ? held : tf.slice4d(held, [0, 0, 0, 0], [batch, length, heads, size]);
  return tf.concat<tf.Tensor4D>([kept, added], 1);
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
