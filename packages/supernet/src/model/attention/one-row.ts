// Attention of a single row, which is what decoding asks for.
import * as tf from '@tensorflow/tfjs';
import type { AttentionContext } from '../types.ts';
import { hostMasks } from './masks.ts';

/**
 * One row of one sequence, which is what decoding asks for: cutting each head out of all keys would take longer than to multiply all
 * of their features by queries that are zero outside their head.
 */
export function attendRow(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
): tf.Tensor4D {
  const [, , heads, size] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const [width, group] = [kvHeads * size, heads / kvHeads];
  return tf.tidy(() => {
    // [H, Hkv·d]: 1 where a feature is of the head's own key head.
    const own = tf.tensor2d(
      Float32Array.from({ length: heads * width }, (_, i) =>
        Math.floor(i / width / group) === Math.floor((i % width) / size) ? 1 : 0,
      ),
      [heads, width],
    );
    const queries = tf.mul(tf.tile(tf.reshape(tf.mul(q, context.scale), [heads, size]), [1, kvHeads]), own);
    const products: tf.Tensor2D = tf.matMul(tf.reshape(k, [keys, width]), tf.transpose(queries));
    const limit = hostMasks(context, [1, heads, 1, keys], firstRow);
    const scores = tf.transpose(products);
    const p = tf.softmax(limit ? tf.minimum(scores, tf.reshape(limit, [1, keys])) : scores);
    // Transposed, the values are what is run through, not what XNNPACK would pack anew for each token.
    const values: tf.Tensor2D = tf.reshape(v, [keys, width]);
    const all = tf.mul(tf.transpose(tf.matMul(tf.transpose(values), tf.transpose(p))), own);
    return tf.reshape(tf.sum(tf.reshape(all, [heads, kvHeads, size]), 1), [1, 1, heads, size]);
  });
}
