// A KV cache for tfjs models: appendable, stored as runs merged like a binary counter, so appending stays cheap.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';

interface Layer {
  readonly chunks: { readonly k: tf.Tensor4D; readonly v: tf.Tensor4D; readonly tokens: number }[];
  length: number;
}

/**
 * Keys and values of earlier tokens. Fits the cache parameter of @instatune/supernet's models.
 *
 * Stored as runs whose lengths fall by at least half (merged like a binary counter), so that appending token by token copies each
 * key O(log T) times; `append` returns one tensor of everything.
 */
export class KvCache {
  readonly #layers = new Map<number, Layer>();
  readonly #maxTokens: number;

  /** @param options.maxTokens refuses to grow beyond. @defaultValue none */
  constructor(options: { readonly maxTokens?: number } = {}) {
    this.#maxTokens = options.maxTokens ?? Infinity;
  }

  /** Tokens of the layer that holds fewest: all layers agree between forward passes. */
  get length(): number {
    return this.#layers.size === 0 ? 0 : Math.min(...[...this.#layers.values()].map(({ length }) => length));
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    let total = 0;
    for (const { chunks } of this.#layers.values()) for (const { k, v } of chunks) total += (k.size + v.size) * 4;
    return total;
  }

  /**
   * Appends k, v [B, T, Hkv, d] to a layer and returns all of it [B, cached + T, Hkv, d]. The caller disposes the result.
   *
   * @throws HipError `invalid-shape` when the shapes do not continue the layer's, `out-of-memory` beyond maxTokens
   */
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): { readonly k: tf.Tensor4D; readonly v: tf.Tensor4D } {
    const state = this.#layers.get(layer) ?? { chunks: [], length: 0 };
    const first = state.chunks[0]?.k.shape;
    const fits = k.shape.join() === v.shape.join() && (!first || [0, 2, 3].every((axis) => first[axis] === k.shape[axis]));
    if (!fits) throw new HipError('invalid-shape', `k is [${k.shape}], v [${v.shape}]: layer ${layer} holds [${first}]`, { layer, k: k.shape, v: v.shape });
    const tokens = k.shape[1];
    if (state.length + tokens > this.#maxTokens) {
      throw new HipError('out-of-memory', `layer ${layer} would hold ${state.length + tokens} tokens: the cache was made for ${this.#maxTokens}`, { maxTokens: this.#maxTokens });
    }
    state.chunks.push({ k: tf.keep(k.clone()), v: tf.keep(v.clone()), tokens });
    state.length += tokens;
    this.#layers.set(layer, state);
    merge(state);
    return { k: joined(state, 'k'), v: joined(state, 'v') };
  }

  dispose(): void {
    for (const { chunks } of this.#layers.values()) for (const { k, v } of chunks) tf.dispose([k, v]);
    this.#layers.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function merge({ chunks }: Layer): void {
  while (chunks.length > 1 && chunks[chunks.length - 2]!.tokens < 2 * chunks[chunks.length - 1]!.tokens) {
    const [a, b] = chunks.splice(-2) as [Layer['chunks'][number], Layer['chunks'][number]];
    chunks.push({ k: tf.keep(tf.concat([a.k, b.k], 1)), v: tf.keep(tf.concat([a.v, b.v], 1)), tokens: a.tokens + b.tokens });
    tf.dispose([a.k, a.v, b.k, b.v]);
  }
}

function joined({ chunks }: Layer, which: 'k' | 'v'): tf.Tensor4D {
  return chunks.length === 1 ? chunks[0]![which].clone() : (tf.concat(chunks.map((chunk) => chunk[which]), 1) as tf.Tensor4D);
}
