// Key/value cache: the keys and values of earlier tokens, per layer, concatenated as they come.
import * as tf from '@tensorflow/tfjs';
import type { KeyValueCache } from './types.ts';

/** A cache that concatenates; simple and exact on every backend. Dispose it when done. */
export class ConcatKeyValueCache implements KeyValueCache {
  readonly #layers: { k: tf.Tensor4D; v: tf.Tensor4D }[] = [];

  get length(): number {
    return this.#layers.at(-1)?.k.shape[1] ?? 0;
  }

  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): { k: tf.Tensor4D; v: tf.Tensor4D } {
    const old = this.#layers[layer];
    const joined = old
      ? { k: tf.concat([old.k, k], 1), v: tf.concat([old.v, v], 1) }
      : { k: tf.clone(k), v: tf.clone(v) };
    this.#layers[layer] = { k: tf.keep(joined.k), v: tf.keep(joined.v) };
    old?.k.dispose();
    old?.v.dispose();
    return this.#layers[layer];
  }

  dispose(): void {
    for (const { k, v } of this.#layers) tf.dispose([k, v]);
    this.#layers.length = 0;
  }
}
