// A key/value cache for writing text in large batches on a GPU: shapes never change (tfjs on WebGPU keeps a pool of buffers per
// size, and a growing cache fills it), and a token moves only the short tail, not all the keys.
import * as tf from '@tensorflow/tfjs';
import type { AttentionContext, AttentionFunction, KeyValueCache } from '@instatune/supernet';

/** Finite stand-in for −∞. */
const HIDDEN = -1e9;

/** Keys or values of a layer: those of earlier tokens, and the last few, both [B·Hkv, places, d], the newest at the end. */
interface Parts {
  readonly body: tf.Tensor3D;
  readonly tail: tf.Tensor3D;
}

/** How many tokens the parts hold. */
interface Fill {
  readonly body: number;
  readonly tail: number;
}

/** The last `body` tokens at least, up to `tail` more. Its `attention` goes with it in every forward pass. Dispose it when done. */
export class DecodeCache implements KeyValueCache {
  readonly #places: Fill;
  readonly #layers: { k: Parts; v: Parts; fill: Fill }[] = [];
  #seen = 0;

  /** @param tail tokens of a forward pass, at most. */
  constructor(places: { readonly body: number; readonly tail: number }) {
    this.#places = places;
  }

  /** Tokens seen: the position of the next one. */
  get length(): number {
    return this.#seen;
  }

  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): { k: tf.Tensor4D; v: tf.Tensor4D } {
    const [, tokens] = k.shape;
    if (tokens > this.#places.tail) throw new RangeError(`${tokens} tokens at once, the tail has ${this.#places.tail}`);
    const old = this.#layers[layer];
    const before = old?.fill ?? { body: 0, tail: 0 };
    const isFull = before.tail + tokens > this.#places.tail;
    const fill = {
      body: Math.min(this.#places.body, before.body + (isFull ? before.tail : 0)),
      tail: (isFull ? 0 : before.tail) + tokens,
    };
    const [keys, values] = [this.#join(old?.k, k, isFull, before.tail), this.#join(old?.v, v, isFull, before.tail)];
    if (old) tf.dispose([old.k, old.v].flatMap(partsOf));
    this.#layers[layer] = { k: keys, v: values, fill };
    if (layer === 0) this.#seen += tokens;
    // The attention reads the parts; these only say how many they are.
    return { k, v };
  }

  /** softmax(q·kᵀ·scale, causal)·v over the parts. */
  readonly attention: AttentionFunction = (q, _k, _v, context: AttentionContext) => {
    const held = this.#layers[context.layer];
    if (!held || context.mask || context.window) {
      throw new Error('this attention reads its own cache, without masks and windows');
    }
    const { k, v, fill } = held;
    const [batch, rows, heads, size] = q.shape;
    const groups = k.tail.shape[0];
    const stacked = (batch * heads * rows) / groups;
    const queries: tf.Tensor3D = tf.reshape(tf.transpose(q, [0, 2, 1, 3]), [groups, stacked, size]);
    const { body } = this.#places;
    const scores = tf.concat([tf.matMul(queries, k.body, false, true), tf.matMul(queries, k.tail, false, true)], 2);
    const biased: tf.Tensor3D = tf.add(tf.mul(scores, context.scale), this.#bias(fill, rows, stacked));
    const p = tf.softmax(biased);
    const part = (from: number, places: number) => tf.slice3d(p, [0, 0, from], [groups, stacked, places]);
    const attended = tf.add(tf.matMul(part(0, body), v.body), tf.matMul(part(body, this.#places.tail), v.tail));
    return tf.transpose(tf.reshape(attended, [batch, heads, rows, size]), [0, 2, 1, 3]);
  };

  dispose(): void {
    for (const { k, v } of this.#layers) tf.dispose([k, v].flatMap(partsOf));
    this.#layers.length = 0;
  }

  /** Hides empty places, and from each of the newest `rows` tokens those after it [1, stacked, places]. */
  #bias(fill: Fill, rows: number, stacked: number): tf.Tensor3D {
    const { body, tail } = this.#places;
    const bias = new Float32Array(stacked * (body + tail)).fill(HIDDEN);
    for (let row = 0; row < stacked; row++) {
      const start = row * (body + tail);
      bias.fill(0, start + body - fill.body, start + body);
      // The newest token is at the end.
      bias.fill(0, start + body + tail - fill.tail, start + body + tail - (rows - 1 - (row % rows)));
    }
    return tf.tensor3d(bias, [1, stacked, body + tail]);
  }

  #join(old: Parts | undefined, next: tf.Tensor4D, isFull: boolean, held: number): Parts {
    const [batch, tokens, heads, size] = next.shape;
    const { body, tail } = this.#places;
    return tf.tidy(() => {
      const rows: tf.Tensor3D = tf.reshape(tf.transpose(next, [0, 2, 1, 3]), [batch * heads, tokens, size]);
      // Filled where they are: zeros would come from the host.
      const empty = (places: number) => tf.fill<tf.Rank.R3>([batch * heads, places, size], 0);
      const before = old ?? { body: empty(body), tail: empty(tail) };
      // A body that stays is held by another tensor of the same values: no copy.
      const longer = isFull ? roll(before.body, newest(before.tail, held)) : tf.clone(before.body);
      return { body: tf.keep(longer), tail: tf.keep(roll(isFull ? empty(tail) : before.tail, rows)) };
    });
  }
}

const partsOf = ({ body, tail }: Parts): tf.Tensor[] => [body, tail];

/** The last `count` places. */
function newest(part: tf.Tensor3D, count: number): tf.Tensor3D {
  const [groups, places, size] = part.shape;
  return tf.slice3d(part, [0, places - count, 0], [groups, count, size]);
}

/** `next` at the end, as many of the oldest gone. */
function roll(part: tf.Tensor3D, next: tf.Tensor3D): tf.Tensor3D {
  const [, places] = part.shape;
  const count = next.shape[1];
  return count === places ? tf.clone(next) : tf.concat([newest(part, places - count), next], 1);
}
