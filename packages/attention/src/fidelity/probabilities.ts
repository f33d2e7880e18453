// Probabilities of some rows of a call, causal: what dense attention weighs keys by.
import * as tf from '@tensorflow/tfjs';

/** softmax(q·k·scale) [H, rows, keys] of some rows of q [1, Tq, H, d]; k is [1, Tk, Hkv, d]. */
export function probabilitiesOf(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  rows: readonly number[],
  { scale }: { readonly scale: number },
): tf.Tensor3D {
  const [, queries, heads, headDim] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const group = heads / kvHeads;
  if (rows.length === 0) return tf.zeros([heads, 0, keys]);
  const picked = tf.gather(tf.reshape(q, [queries, heads, headDim]), tf.tensor1d([...rows], 'int32'));
  // [Hkv, group · rows, d] by [Hkv, d, keys].
  const byHead = tf.reshape(tf.transpose(picked, [1, 0, 2]), [kvHeads, group * rows.length, headDim]);
  const all = tf.transpose(tf.reshape(k, [keys, kvHeads, headDim]), [1, 2, 0]);
  const logits = tf.reshape(tf.mul(tf.matMul(byHead, all), scale), [heads, rows.length, keys]);
  const hidden = new Float32Array(rows.length * keys);
  for (const [i, row] of rows.entries()) hidden.fill(-1e30, i * keys + row + 1 + keys - queries, (i + 1) * keys);
  return tf.softmax(tf.add(logits, tf.tensor3d(hidden, [1, rows.length, keys])));
}
