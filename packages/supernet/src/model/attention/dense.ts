// Dense attention in tfjs: grouped queries without repeating keys, bottom-right causal, in row blocks of bounded memory.
import * as tf from '@tensorflow/tfjs';
import { heapView, isOnHeap } from '../host-arrays.ts';
import { HOST_BACKENDS } from '../host-values.ts';
import { wantsPlainProducts } from '../matmul.ts';
import type { AttentionContext, AttentionFunction } from '../types.ts';
import { attendBatched } from './batched.ts';
import { attendByHead } from './by-head.ts';
import { hidesKeys } from './masks.ts';
import { attendRow } from './one-row.ts';

/** Scores held at once in inference: 64 MiB. */
const SCORE_ELEMENTS = 1 << 24;

/**
 * Softmax(q·kᵀ·scale + mask)·v, exact. Differentiable (the probabilities are kept for the gradient, so training needs
 * B·H·Tq·Tk floats per layer); a long forward pass works in row blocks. A key or value that is not finite makes the rows that see it
 * NaN, and leaves the others as they are.
 */
export const denseAttention: AttentionFunction = (q, k, v, context) => {
  const [batch, rows, heads, size] = q.shape;
  const keys = k.shape[1];
  const blockRows = Math.max(1, Math.floor(SCORE_ELEMENTS / (batch * heads * keys)));
  if (rows <= blockRows) return attendBlock(q, k, v, context, 0);
  const blocks: tf.Tensor4D[] = [];
  for (let start = 0; start < rows; start += blockRows) {
    const count = Math.min(blockRows, rows - start);
    const end = context.causal ? Math.min(keys, context.queryOffset + start + count) : keys;
    blocks.push(
      tf.tidy(() => {
        const cut = (t: tf.Tensor4D) => tf.slice4d(t, [0, 0, 0, 0], [batch, end, t.shape[2], size]);
        const block = tf.slice4d(q, [0, start, 0, 0], [batch, count, heads, size]);
        const bias = context.bias && tf.slice4d(context.bias, [0, 0, start, 0], [batch, heads, count, end]);
        return attendBlock(block, cut(k), cut(v), { ...context, ...(bias && { bias }) }, start);
      }),
    );
  }
  return tf.concat(blocks, 1);
};

function attendBlock(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
): tf.Tensor4D {
  const hides = hidesKeys(context, q.shape[1], k.shape[1], firstRow);
  // Hidden is weight 0, and 0 · NaN is NaN: what is not finite has to be taken out of the products. Where the result can be looked at,
  // only when it shows.
  if (hides && !canLook()) return attendBatched(q, k, v, context, firstRow, true);
  if (!wantsPlainProducts() || context.dropout) {
    const attended = attendBatched(q, k, v, context, firstRow, false);
    return hides && !isAllFinite(attended) ? attendBatched(q, k, v, context, firstRow, true) : attended;
  }
  // Where only single products are fast, every (sequence, key head) is a product of its own.
  const isRow = q.shape[0] === 1 && q.shape[1] === 1 && !context.bias;
  const attended = (isRow ? attendRow : attendByHead)(q, k, v, context, firstRow);
  if (!(hides || isRow) || isAllFinite(attended)) return attended;
  return hides ? attendBatched(q, k, v, context, firstRow, true) : attendByHead(q, k, v, context, firstRow);
}

/** Whether numbers are read without waiting for a device. */
function canLook(): boolean {
  return HOST_BACKENDS.includes(tf.getBackend());
}

function isAllFinite(x: tf.Tensor): boolean {
  const values = isOnHeap(x) ? heapView(x) : (x.dataSync() as Float32Array);
  for (let i = 0; i < values.length; i++) {
    // Infinity − Infinity and NaN − NaN are NaN.
    if ((values[i] as number) - (values[i] as number) !== 0) return false;
  }
  return true;
}
