// Dense attention in tfjs: grouped queries without repeating keys, bottom-right causal, in row blocks of bounded memory.
import * as tf from '@tensorflow/tfjs';
import { customGradient } from './custom-gradient.ts';
import { batchMatMul } from './matmul.ts';
import type { AttentionContext, AttentionFunction } from './types.ts';

/** Scores held at once in inference: 64 MiB. */
const SCORE_ELEMENTS = 1 << 24;
/** Finite stand-in for −∞: a fully masked row stays finite. */
const MASKED = -1e9;

/**
 * Softmax(q·kᵀ·scale + mask)·v, exact. Differentiable (the probabilities are kept for the gradient, so training needs
 * B·H·Tq·Tk floats per layer); a forward pass alone works in row blocks.
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
        return attendBlock(block, cut(k), cut(v), context, start);
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
  const [batch, rows, heads, size] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const group = heads / kvHeads;
  const bias = maskBias(context, batch, rows, keys, firstRow);
  return customGradient([q, k, v], ([qIn, kIn, vIn], save) => {
    const queries = tf.reshape(tf.transpose(qIn, [0, 2, 1, 3]), [batch * kvHeads, group * rows, size]) as tf.Tensor3D;
    const byHead = (t: tf.Tensor4D) =>
      tf.reshape(tf.transpose(t, [0, 2, 1, 3]), [batch * kvHeads, keys, size]) as tf.Tensor3D;
    const [keysT, values] = [byHead(kIn), byHead(vIn)];
    let scores: tf.Tensor = tf.mul(batchMatMul(queries, keysT, false, true), context.scale);
    if (bias) scores = tf.add(tf.reshape(scores, [batch, heads, rows, keys]), bias);
    const p = tf.reshape(tf.softmax(scores), [batch * kvHeads, group * rows, keys]) as tf.Tensor3D;
    const out = batchMatMul(p, values);
    save([queries, keysT, values, p]);
    const back = (t: tf.Tensor3D, h: number, length: number): tf.Tensor4D =>
      tf.transpose(tf.reshape(t, [batch, h, length, size]), [0, 2, 1, 3]);
    return {
      value: back(out, heads, rows),
      gradFunc: (dy: tf.Tensor4D, saved: tf.Tensor[]) => {
        const [qs, ks, vs, ps] = saved as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
        const dOut = tf.reshape(tf.transpose(dy, [0, 2, 1, 3]), [batch * kvHeads, group * rows, size]) as tf.Tensor3D;
        const weighted = tf.mul(batchMatMul(dOut, vs, false, true), ps);
        const dScores = tf.mul(tf.sub(weighted, tf.mul(ps, tf.sum(weighted, -1, true))), context.scale) as tf.Tensor3D;
        return [
          back(batchMatMul(dScores, ks), heads, rows),
          back(batchMatMul(dScores, qs, true), kvHeads, keys),
          back(batchMatMul(ps, dOut, true), kvHeads, keys),
        ];
      },
    };
  });
}

/** Additive mask broadcastable to [B, H, rows, keys], or undefined when everything is visible. */
function maskBias(
  { causal, queryOffset, window, mask }: AttentionContext,
  batch: number,
  rows: number,
  keys: number,
  firstRow: number,
): tf.Tensor | undefined {
  let bias: tf.Tensor | undefined;
  const first = queryOffset + firstRow;
  if (causal && (rows > 1 || first + 1 < keys || (window !== undefined && keys > window))) {
    const values = new Float32Array(rows * keys);
    for (let r = 0; r < rows; r++) {
      const position = first + r;
      for (let key = position + 1; key < keys; key++) values[r * keys + key] = MASKED;
      if (window !== undefined) values.fill(MASKED, r * keys, r * keys + Math.max(0, position - window + 1));
    }
    bias = tf.tensor(values, [1, 1, rows, keys]);
  }
  if (mask) {
    const visible = tf.slice(tf.cast(mask, 'float32'), [0, 0], [batch, keys]);
    const padding = tf.reshape(tf.mul(tf.sub(1, visible), MASKED), [batch, 1, 1, keys]);
    bias = bias ? tf.add(bias, padding) : padding;
  }
  return bias;
}
