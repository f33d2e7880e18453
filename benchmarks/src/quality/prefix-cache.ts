// A key/value cache that can be cut to its first tokens and continued from there: one prefill serves questions at every length.
import * as tf from '@tensorflow/tfjs';
import type { KeyValueCache } from '@instatune/supernet';

interface Pair {
  readonly k: tf.Tensor4D;
  readonly v: tf.Tensor4D;
}

export class PrefixCache implements KeyValueCache {
  readonly #layers: Pair[] = [];
  readonly #base: PrefixCache | undefined;
  readonly #prefix: number;

  /** @param base read, never changed; its first `prefix` tokens begin this cache */
  constructor(base?: PrefixCache, prefix = 0) {
    this.#base = base;
    this.#prefix = prefix;
  }

  get length(): number {
    return this.#layers.at(-1)?.k.shape[1] ?? this.#prefix;
  }

  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): Pair {
    const old = this.#layers[layer];
    const before = old ?? this.#base?.cut(layer, this.#prefix);
    const join = (a: tf.Tensor4D | undefined, b: tf.Tensor4D): tf.Tensor4D =>
      tf.keep(a ? tf.concat([a, b], 1) : tf.clone(b));
    const next = { k: join(before?.k, k), v: join(before?.v, v) };
    if (before) tf.dispose([before.k, before.v]);
    this.#layers[layer] = next;
    return next;
  }

  /** Copies of a layer's first tokens; the caller disposes them. */
  cut(layer: number, tokens: number): Pair | undefined {
    const pair = this.#layers[layer];
    if (!pair || tokens === 0) return undefined;
    const first = (t: tf.Tensor4D): tf.Tensor4D =>
      tf.slice4d(t, [0, 0, 0, 0], [t.shape[0], tokens, t.shape[2], t.shape[3]]);
    return { k: first(pair.k), v: first(pair.v) };
  }

  dispose(): void {
    for (const { k, v } of this.#layers) tf.dispose([k, v]);
    this.#layers.length = 0;
  }
}
