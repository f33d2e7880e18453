// Attention as one batched product for all heads of all sequences.
import * as tf from '@tensorflow/tfjs';
import { attentionSoftmax, attentionSoftmaxGradient, finiteByHead, flagNotFinite } from '../../webgpu/attention.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { customGradient } from '../custom-gradient.ts';
import { dropped } from '../dropout.ts';
import type { AttentionContext } from '../types.ts';
import { hostMasks, scoreMask } from './masks.ts';
import { softmaxGradient } from './softmax-gradient.ts';

/** One batched product for all heads; queries of a group stand below each other. */
export function attendBatched(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
  careful: boolean,
): tf.Tensor4D {
  const [batch, rows, heads, size] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const stacked = (heads / kvHeads) * rows;
  const fused = onWebGpu();
  const extents = [batch, heads, rows, keys] as const;
  const inputs = context.bias ? [q, k, v, context.bias] : [q, k, v];
  return customGradient<tf.Tensor4D[], tf.Tensor4D>(inputs, (given, save) => {
    const [qIn, kIn, vIn, bias] = given as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D | undefined];
    const byHead = (t: tf.Tensor4D, length: number): tf.Tensor3D =>
      tf.reshape(tf.transpose(t, [0, 2, 1, 3]), [batch * kvHeads, length, size]);
    const back = (t: tf.Tensor, h: number, length: number): tf.Tensor4D =>
      tf.transpose(tf.reshape(t, [batch, h, length, size]), [0, 2, 1, 3]);
    const queries = byHead(qIn, stacked);
    const flags = careful ? notFinite(kIn, vIn) : undefined;
    const parts = [kIn, vIn].map((t) => {
      if (!flags) return byHead(t, keys);
      return fused ? finiteByHead(t) : byHead(finiteOnly(t), keys);
    });
    const [ks, vs] = parts as [tf.Tensor3D, tf.Tensor3D];
    const contents: tf.Tensor3D = tf.matMul(queries, ks, false, true);
    const products: tf.Tensor3D = bias ? tf.add(contents, tf.reshape(bias, contents.shape)) : contents;
    const p = fused
      ? attentionSoftmax(products, context.scale, scoreMask(context, extents, firstRow), flags)
      : softmaxOf(tf.mul(products, context.scale), hostMasks(context, extents, firstRow), extents, flags);
    save([queries, ks, vs, p]);
    // Each block of rows draws its own.
    const { rate = 0, seed = 0 } = context.dropout ?? {};
    const drop = (x: tf.Tensor3D) => (rate > 0 ? dropped(x, rate, seed + 65_537 * firstRow) : x);
    return {
      value: back(tf.matMul(drop(p), vs), heads, rows),
      gradFunc: (dy: tf.Tensor4D, saved: tf.Tensor[]) => {
        const [qs, kSaved, vSaved, ps] = saved as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
        const dOut = byHead(dy, stacked);
        const dp = drop(tf.matMul(dOut, vSaved, false, true));
        const gradient = fused ? attentionSoftmaxGradient : softmaxGradient;
        const dScores = gradient(ps, dp, context.scale);
        return [
          back(tf.matMul(dScores, kSaved), heads, rows),
          back(tf.matMul(dScores, qs, true), kvHeads, keys),
          back(tf.matMul(drop(ps), dOut, true), kvHeads, keys),
          ...(bias ? [tf.reshape(dScores, [batch, heads, rows, keys])] : []),
        ];
      },
    };
  });
}

/**
 * softmax(min(scores, limit)), in the shape of the scores [B·Hkv, H/Hkv·rows, keys]. With flags [B, keys, Hkv, 1] (1 = not finite) a row that
 * sees such a key is NaN.
 */
function softmaxOf(
  scores: tf.Tensor3D,
  limit: tf.Tensor | undefined,
  [batch, heads, rows, keys]: readonly [number, number, number, number],
  flags: tf.Tensor4D | undefined,
): tf.Tensor3D {
  let masked: tf.Tensor = limit ? tf.minimum(tf.reshape(scores, [batch, heads, rows, keys]), limit) : scores;
  if (flags && limit) {
    const kvHeads = flags.shape[2];
    const ofKeys = tf.reshape(tf.transpose(flags, [0, 2, 3, 1]), [batch, kvHeads, 1, 1, keys]);
    const visible = tf.expandDims(tf.greater(limit, 0), 2);
    const grouped = tf.reshape(masked, [batch, kvHeads, heads / kvHeads, rows, keys]);
    masked = tf.where(tf.logicalAnd(visible, tf.greater(ofKeys, 0)), Number.NaN, grouped);
  }
  return tf.reshape(tf.softmax(tf.reshape(masked, [batch, heads, rows, keys])), scores.shape);
}

/** 1 for keys [B, T, Hkv, 1] of which a number, or one of its value, is not finite. */
function notFinite(k: tf.Tensor4D, v: tf.Tensor4D): tf.Tensor4D {
  if (onWebGpu()) return flagNotFinite(k, v);
  const finite = (t: tf.Tensor4D): tf.Tensor => tf.min(tf.cast(tf.isFinite(t), 'float32'), 3, true);
  return tf.sub(1, tf.mul(finite(k), finite(v)));
}

/** 0 in place of what is not finite. */
function finiteOnly(x: tf.Tensor4D): tf.Tensor4D {
  return tf.where(tf.isFinite(x), x, tf.zerosLike(x));
}
