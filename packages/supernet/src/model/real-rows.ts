// Which tokens of a batch are real, and which row of its hidden states [B·T, D] is a sequence's first or last one.
import * as tf from '@tensorflow/tfjs';
import { hostValues } from './host-values.ts';

/** 1 for real tokens, 0 for padding, of a mask of any type [B, T] → float32 [B, T]. */
export function realTokens(mask: tf.Tensor2D): tf.Tensor2D {
  return tf.cast(tf.notEqual(tf.cast(mask, 'float32'), 0), 'float32');
}

/**
 * Row of each sequence's first or last real token among the last T columns of a mask [B, ≥ T] → [B] int32; undefined where that is
 * the first or last of all in every sequence. A sequence of padding only is read at its first token.
 */
export function realRows(
  mask: tf.Tensor2D | undefined,
  [batch, length]: readonly [number, number],
  which: 'first' | 'last',
): tf.Tensor1D | undefined {
  if (!mask) return undefined;
  const keys = mask.shape[1];
  const values = hostValues(mask);
  const column = which === 'first' ? keys - length : keys - 1;
  if (values && Array.from({ length: batch }, (_, b) => values[b * keys + column] !== 0).every(Boolean))
    return undefined;
  const own = tf.slice2d(tf.cast(mask, 'float32'), [0, keys - length], [batch, length]);
  return rowsOf(tf.notEqual(own, 0), which);
}

/** The same of which tokens are real [B, T]. */
export function rowsOf(real: tf.Tensor2D | tf.Tensor, which: 'first' | 'last'): tf.Tensor1D {
  const [batch, length] = real.shape as [number, number];
  return tf.tidy(() => {
    const isLast = which === 'last';
    // 1 … T, growing towards the token looked for.
    const order = Float32Array.from({ length }, (_, i) => (isLast ? i + 1 : length - i));
    const best = tf.max(tf.mul(tf.cast(real, 'float32'), tf.tensor2d(order, [1, length])), 1);
    const column = isLast ? tf.maximum(tf.sub(best, 1), 0) : tf.sub(length, tf.maximum(best, 1));
    const none = isLast ? column : tf.mul(column, tf.cast(tf.greater(best, 0), 'float32'));
    const starts = tf.range(0, batch * length, length, 'float32');
    return tf.cast(tf.add(none, starts), 'int32') as tf.Tensor1D;
  });
}
