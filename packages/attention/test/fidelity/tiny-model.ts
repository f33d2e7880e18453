// A language model of two layers for the tests of fidelity, on tensors; and what its attention was given.
import * as tf from '@tensorflow/tfjs';
import type { MeasuredModel } from '../../src/index.ts';

const VOCABULARY = 23;
export const [LAYERS, HEADS, KV_HEADS, SIZE] = [2, 4, 2, 16];
const WIDTH = HEADS * SIZE;

function random(seed: number, length: number, size: number): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state / 2 ** 32) * 2 - 1) * size;
  });
}

const matrix = (seed: number, rows: number, columns: number, size: number): tf.Tensor2D =>
  tf.tensor2d(random(seed, rows * columns, size), [rows, columns]);

export function textOf(tokens: number, seed = 0): number[] {
  return Array.from({ length: tokens }, (_, i) => (i * i * 7 + i * 3 + seed) % VOCABULARY);
}

/** Counts the rows of logits that existed at once. */
export interface TinyModel extends MeasuredModel {
  readonly logitRows: number[];
}

export function tinyModel(): TinyModel {
  const logitRows: number[] = [];
  return {
    logitRows,
    forward({ inputIds }, { cache, attention }) {
      const tokens = inputIds.shape[1];
      const start = cache.length;
      const turns = Float32Array.from({ length: tokens * WIDTH }, (_, at) =>
        Math.cos((start + Math.floor(at / WIDTH)) * 0.07 * (1 + (at % WIDTH))),
      );
      let x = tf.add<tf.Tensor2D>(
        tf.gather(matrix(1, VOCABULARY, WIDTH, 1), tf.reshape(inputIds, [tokens])),
        tf.tensor2d(turns, [tokens, WIDTH]),
      );
      for (let layer = 0; layer < LAYERS; layer++) {
        const part = (seed: number, heads: number): tf.Tensor4D =>
          tf.reshape(tf.matMul(x, matrix(10 * layer + seed, WIDTH, heads * SIZE, 0.4)), [1, tokens, heads, SIZE]);
        const { k, v } = cache.append(layer, part(3, KV_HEADS), part(4, KV_HEADS));
        const attended = attention(part(2, HEADS), k, v, { layer, causal: true, scale: 0.5, cache });
        x = tf.add(x, tf.reshape(attended, [tokens, WIDTH]));
      }
      return { logits: tf.reshape(x, [1, tokens, WIDTH]) };
    },
    languageLogits(hidden) {
      logitRows.push(hidden.shape[0]);
      return tf.matMul(hidden, matrix(7, WIDTH, VOCABULARY, 0.1));
    },
  };
}
