// A key/value cache whose shapes never change: tfjs on WebGPU keeps a pool of buffers per size, and a growing cache fills it.
import * as tf from '@tensorflow/tfjs';
import type { KeyValueCache } from '@instatune/supernet';

/** The last `capacity` tokens, right-aligned; `mask` hides the places before the first one. Dispose it when done. */
export class RollingKeyValueCache implements KeyValueCache {
  readonly #capacity: number;
  readonly #layers: { k: tf.Tensor4D; v: tf.Tensor4D }[] = [];
  #seen = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Tokens seen: the position of the next one. */
  get length(): number {
    return this.#seen;
  }

  /** The attention mask of the next `tokens` tokens of `batch` sequences [batch, capacity]; the caller disposes. */
  mask(batch: number, tokens: number): tf.Tensor2D {
    const filled = Math.min(this.#capacity, this.#seen + tokens);
    const row = Int32Array.from({ length: this.#capacity }, (_, place) => +(place >= this.#capacity - filled));
    return tf.tidy(() => tf.tile(tf.tensor2d(row, [1, this.#capacity], 'int32'), [batch, 1]));
  }

  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): { k: tf.Tensor4D; v: tf.Tensor4D } {
    const old = this.#layers[layer];
    const roll = (held: tf.Tensor4D | undefined, next: tf.Tensor4D): tf.Tensor4D => {
      const [batch, tokens, heads, size] = next.shape;
      const kept = this.#capacity - tokens;
      const before = held
        ? tf.slice4d(held, [0, tokens, 0, 0], [batch, kept, heads, size])
        : tf.zeros<tf.Rank.R4>([batch, kept, heads, size]);
      return tf.keep(tf.concat([before, next], 1));
    };
    const rolled = tf.tidy(() => ({ k: roll(old?.k, k), v: roll(old?.v, v) }));
    this.#layers[layer] = rolled;
    old?.k.dispose();
    old?.v.dispose();
    if (layer === 0) this.#seen += k.shape[1];
    return rolled;
  }

  dispose(): void {
    for (const { k, v } of this.#layers) tf.dispose([k, v]);
    this.#layers.length = 0;
  }
}
