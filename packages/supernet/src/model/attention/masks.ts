// What hides keys from rows: causality, a window, padding; as limits of scores, or as numbers for the WebGPU softmax.
import * as tf from '@tensorflow/tfjs';
import type { ScoreMask } from '../../webgpu/attention.ts';
import type { AttentionContext } from '../types.ts';

/** Score of a hidden key where padding may hide all of a row: finite, so that such a row is even over its keys, as transformers leaves it. */
const LOWEST = -3.4e38;

/** Whether a mask keeps a key from a row. */
export function hidesKeys(
  { causal, queryOffset, window, mask }: AttentionContext,
  rows: number,
  keys: number,
  firstRow: number,
): boolean {
  if (mask) return true;
  if (!causal) return window !== undefined && window < keys;
  return rows > 1 || queryOffset + firstRow + 1 < keys || (window !== undefined && window < keys);
}

export function hostMasks(
  context: AttentionContext,
  [batch, , rows, keys]: readonly [number, number, number, number],
  firstRow: number,
): tf.Tensor | undefined {
  return joinLimits(orderLimit(context, rows, keys, firstRow, 1), paddingLimit(context, batch, keys));
}

/** The masks of a context as numbers for the WebGPU softmax. */
export function scoreMask(
  { causal, queryOffset, window, mask }: AttentionContext,
  [batch, heads, rows, keys]: readonly [number, number, number, number],
  firstRow: number,
): ScoreMask {
  return {
    batch,
    heads,
    rows,
    keys,
    causal,
    first: queryOffset + firstRow,
    window,
    padding: mask && tf.cast(mask, 'int32'),
  };
}

/**
 * By causality and window, what scores may be at most [1, 1, rows·repeat, keys] (every row `repeat` times): ∞ of keys that the row sees, whatever the score of
 * the others would be; undefined when all is visible.
 */
export function orderLimit(
  { causal, queryOffset, window, mask }: AttentionContext,
  rows: number,
  keys: number,
  firstRow: number,
  repeat: number,
): tf.Tensor | undefined {
  const first = queryOffset + firstRow;
  if (!causal && (window === undefined || window >= keys)) return undefined;
  if (causal && rows === 1 && first + 1 >= keys && (window === undefined || keys <= window)) return undefined;
  const hidden = mask ? LOWEST : -Infinity;
  const values = new Float32Array(rows * repeat * keys).fill(Infinity);
  for (let r = 0; r < rows * repeat; r++) {
    const position = first + Math.floor(r / repeat);
    const end = causal ? position + 1 : position + (window as number);
    values.fill(hidden, r * keys + Math.min(keys, end), (r + 1) * keys);
    if (window !== undefined)
      values.fill(hidden, r * keys, r * keys + Math.min(keys, Math.max(0, position - window + 1)));
  }
  return tf.tensor(values, [1, 1, rows * repeat, keys]);
}

/** The same of padding [B, 1, 1, keys]. */
export function paddingLimit({ mask }: AttentionContext, batch: number, keys: number): tf.Tensor | undefined {
  if (!mask) return undefined;
  const visible = tf.slice(tf.cast(mask, 'float32'), [0, 0], [batch, keys]);
  return tf.reshape(tf.where(tf.notEqual(visible, 0), Infinity, LOWEST), [batch, 1, 1, keys]);
}

export function joinLimits(a: tf.Tensor | undefined, b: tf.Tensor | undefined): tf.Tensor | undefined {
  return a && b ? tf.minimum(a, b) : (a ?? b);
}
