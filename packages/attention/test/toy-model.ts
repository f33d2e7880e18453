// A small causal model whose layers mix their tokens through attention, driven as supernet drives its own: for what caches must keep.
import * as tf from '@tensorflow/tfjs';
import type { KeysAndValues, ModelAttention } from '../src/index.ts';

export const LAYERS = 3;
const [HEADS, KV_HEADS, SIZE] = [2, 1, 16];
const WIDTH = HEADS * SIZE;
const CONTEXT = { causal: true, scale: 0.6 } as const;

/** What the toy needs of a cache. */
export interface ToyCache {
  readonly length: number;
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues;
  truncate?(length: number): void;
}

/** Where a pass throws: before the layer's tokens are cached, in place of its attention, after it. */
export interface Failure {
  readonly layer: number;
  readonly where: 'before' | 'attention' | 'after';
}

export interface ToyPass {
  readonly cache: ToyCache;
  readonly attention: ModelAttention;
  readonly failure?: Failure | undefined;
  /** Tells the attention which cache it is. @defaultValue true */
  readonly namesCache?: boolean;
  /** Takes a pass that failed back. @defaultValue true */
  readonly takesBack?: boolean;
}

export class Injected extends Error {}

function weights(seed: number, rows: number, columns: number): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length: rows * columns }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state / 2 ** 32) * 2 - 1) * 0.9;
  });
}

const MATRICES = Array.from({ length: LAYERS }, (_, layer) =>
  [HEADS, KV_HEADS, KV_HEADS].map((heads, i) => weights(31 * layer + i, WIDTH, heads * SIZE)),
);
const EMBEDDING = weights(99, 64, WIDTH);

/** Hidden states [T, 32] after the last layer of tokens 0 … 63. */
export async function toyForward(ids: readonly number[], pass: ToyPass): Promise<Float32Array> {
  const before = pass.cache.length;
  let hidden: tf.Tensor2D;
  try {
    hidden = tf.tidy(() => run(ids, pass));
  } catch (error) {
    if (pass.takesBack ?? true) pass.cache.truncate?.(before);
    throw error;
  }
  const values = (await hidden.data()) as Float32Array;
  hidden.dispose();
  return values;
}

function run(ids: readonly number[], { cache, attention, failure, namesCache = true }: ToyPass): tf.Tensor2D {
  const tokens = ids.length;
  const start = cache.length;
  // Positions enter by a turn of each pair of features, so that a cache of the wrong length shows.
  const turn = (row: number, i: number): number => Math.cos((start + row) * 0.05 * (1 + (i >> 1)) + (i % 2));
  let x = tf.tensor2d(
    Float32Array.from({ length: tokens * WIDTH }, (_, at) => {
      const [row, i] = [Math.floor(at / WIDTH), at % WIDTH];
      return EMBEDDING[ids[row]! * WIDTH + i]! + turn(row, i);
    }),
    [tokens, WIDTH],
  );
  for (let layer = 0; layer < LAYERS; layer++) {
    const fail = (where: Failure['where']): void => {
      if (failure?.layer === layer && failure.where === where) throw new Injected(`layer ${layer} ${where}`);
    };
    const [q, k, v] = MATRICES[layer]!.map((matrix) => {
      const width = matrix.length / WIDTH;
      return tf.reshape(tf.matMul(x, tf.tensor2d(matrix, [WIDTH, width])), [1, tokens, width / SIZE, SIZE]);
    }) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
    fail('before');
    const all = cache.append(layer, k, v);
    fail('attention');
    const attended = attention(q, all.k, all.v, { layer, ...CONTEXT, ...(namesCache && { cache }) });
    fail('after');
    x = tf.tanh(tf.add(x, tf.reshape(attended, [tokens, WIDTH])));
  }
  return x;
}

/** A cache of someone else, which does not say whose its tensors are and cannot be cut back; a fork begins with another's tokens. */
export class ForeignCache implements ToyCache {
  readonly #layers: KeysAndValues[] = [];

  get length(): number {
    return this.#layers.at(-1)?.k.shape[1] ?? 0;
  }

  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues {
    const old = this.#layers[layer];
    const join = (a: tf.Tensor4D | undefined, b: tf.Tensor4D): tf.Tensor4D =>
      tf.keep(a ? tf.concat([a, b], 1) : tf.clone(b));
    this.#layers[layer] = { k: join(old?.k, k), v: join(old?.v, v) };
    if (old) tf.dispose([old.k, old.v]);
    return this.#layers[layer];
  }

  fork(): ForeignCache {
    const other = new ForeignCache();
    for (const [layer, { k, v }] of this.#layers.entries())
      other.#layers[layer] = { k: tf.keep(tf.clone(k)), v: tf.keep(tf.clone(v)) };
    return other;
  }

  dispose(): void {
    for (const { k, v } of this.#layers) tf.dispose([k, v]);
  }
}
