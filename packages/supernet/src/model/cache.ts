// Key/value cache: the keys and values of earlier tokens, per layer, concatenated as they come.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import type { KeyValueCache } from './types.ts';

/** A layer's keys and values [B, ≥ tokens, Hkv, d]; those beyond `tokens` were taken back. */
interface Layer {
  readonly k: tf.Tensor4D;
  readonly v: tf.Tensor4D;
  readonly tokens: number;
}

/**
 * A cache that concatenates; simple and exact on every backend. Dispose it when done.
 *
 * @example
 * ```ts
 * const cache = new ConcatKeyValueCache();
 * await generate(model, tokenizer.encode('It was a dark'), { maxTokens: 4, cache });
 * cache.truncate(2); // the conversation goes on after its second token
 * console.log(cache.length); // => 2
 * cache.dispose();
 * ```
 */
export class ConcatKeyValueCache implements KeyValueCache {
  readonly #layers = new Map<number, Layer>();

  /** Tokens of the layer that holds fewest: all layers agree between forward passes. */
  get length(): number {
    return this.#layers.size === 0 ? 0 : Math.min(...[...this.#layers.values()].map(({ tokens }) => tokens));
  }

  /** @throws SupernetError `invalid-input` when k and v [B, T, Hkv, d] do not continue the layer's */
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): { k: tf.Tensor4D; v: tf.Tensor4D } {
    const old = this.#layers.get(layer);
    if (old) requireContinuation(layer, old.k.shape, k.shape);
    const join = (held: tf.Tensor4D | undefined, next: tf.Tensor4D): tf.Tensor4D =>
      held && old ? tf.concat([firstTokens(held, old.tokens), next], 1) : tf.clone(next);
    const grown = tf.tidy(() => ({ k: join(old?.k, k), v: join(old?.v, v) }));
    // Only what is whole takes the old one's place.
    this.#layers.set(layer, { k: tf.keep(grown.k), v: tf.keep(grown.v), tokens: (old?.tokens ?? 0) + k.shape[1] });
    if (old) tf.dispose([old.k, old.v]);
    return grown;
  }

  /**
   * Forgets the tokens from `length` on. Needs no memory: what they took is freed by the next token.
   *
   * @throws SupernetError `invalid-option` for a number that is no count
   */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0) {
      throw new SupernetError('invalid-option', `length = ${length}: expected an integer ≥ 0`, { length });
    }
    if (length === 0) this.dispose();
    for (const [layer, held] of this.#layers) {
      this.#layers.set(layer, { ...held, tokens: Math.min(held.tokens, length) });
    }
  }

  dispose(): void {
    for (const { k, v } of this.#layers.values()) tf.dispose([k, v]);
    this.#layers.clear();
  }
}

function firstTokens(x: tf.Tensor4D, tokens: number): tf.Tensor4D {
  const [batch, length, heads, size] = x.shape;
  return length === tokens ? x : tf.slice4d(x, [0, 0, 0, 0], [batch, tokens, heads, size]);
}

function requireContinuation(layer: number, held: readonly number[], next: readonly number[]): void {
  if ([0, 2, 3].every((axis) => held[axis] === next[axis])) return;
  throw new SupernetError(
    'invalid-input',
    `layer ${layer}: keys [${next.join(', ')}] do not continue the cached ones [${held.join(', ')}] in batch, heads or head size: one cache serves one batch of conversations and one sub-network`,
    { layer, held, next },
  );
}
