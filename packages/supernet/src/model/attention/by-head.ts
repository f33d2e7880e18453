// Attention where only single products are fast: one for each sequence and key head.
import * as tf from '@tensorflow/tfjs';
import { customGradient } from '../custom-gradient.ts';
import { timesTransposed, transposedTimes } from '../matmul.ts';
import type { AttentionContext } from '../types.ts';
import { joinLimits, orderLimit, paddingLimit } from './masks.ts';
import { softmaxGradient } from './softmax-gradient.ts';

/** One product per sequence and key head; the queries of a group are interleaved rows, so nothing is transposed but k. */
export function attendByHead(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
): tf.Tensor4D {
  const [batch, rows, heads, size] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const group = heads / kvHeads;
  const causal = orderLimit(context, rows, keys, firstRow, group);
  const padding = paddingLimit(context, batch, keys);
  const cells = Array.from({ length: batch * kvHeads }, (_, i) => [Math.floor(i / kvHeads), i % kvHeads] as const);
  const limits = Array.from({ length: batch }, (_, b) =>
    joinLimits(
      causal && tf.reshape(causal, [rows * group, keys]),
      padding && tf.reshape(tf.slice(padding, [b, 0, 0, 0], [1, 1, 1, keys]), [1, keys]),
    ),
  );
  /** Rows of one cell: [length·width, d] of the heads head·width … */
  const cell = (t: tf.Tensor4D, b: number, head: number, width: number): tf.Tensor2D =>
    tf.reshape(tf.slice4d(t, [b, 0, head * width, 0], [1, t.shape[1], width, size]), [t.shape[1] * width, size]);
  const assemble = (parts: readonly tf.Tensor2D[], length: number, width: number): tf.Tensor4D => {
    const sequences = Array.from({ length: batch }, (_, b) =>
      tf.concat(
        parts.slice(b * kvHeads, (b + 1) * kvHeads).map((part) => tf.reshape(part, [length, width * size])),
        1,
      ),
    );
    return tf.reshape(tf.concat(sequences, 0), [batch, length, kvHeads * width, size]);
  };
  const inputs = context.bias ? [q, k, v, context.bias] : [q, k, v];
  return customGradient<tf.Tensor4D[], tf.Tensor4D>(inputs, (given, save) => {
    const [qIn, kIn, vIn, bias] = given as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D | undefined];
    const probabilities: tf.Tensor2D[] = [];
    const outputs = cells.map(([b, head]): tf.Tensor2D => {
      let scores: tf.Tensor2D = timesTransposed(
        tf.mul(cell(qIn, b, head, group), context.scale),
        cell(kIn, b, head, 1),
      );
      if (bias) {
        const own = tf.slice4d(bias, [b, head * group, 0, 0], [1, group, rows, keys]);
        const interleaved = tf.reshape(tf.transpose(own, [0, 2, 1, 3]), [rows * group, keys]);
        scores = tf.add(scores, tf.mul(interleaved, context.scale));
      }
      const limit = limits[b];
      if (limit) scores = tf.minimum(scores, limit);
      const p = tf.softmax(scores);
      probabilities.push(p);
      return tf.matMul(p, cell(vIn, b, head, 1));
    });
    save([qIn, kIn, vIn, ...probabilities]);
    return {
      value: assemble(outputs, rows, group),
      gradFunc: (dy: tf.Tensor4D, saved: tf.Tensor[]) => {
        const [qs, ks, vs] = saved.slice(0, 3) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
        const gradients = cells.map(([b, head], i) => {
          const p = saved[3 + i] as tf.Tensor2D;
          const dOut = cell(dy, b, head, group);
          const dScores = softmaxGradient(p, timesTransposed(dOut, cell(vs, b, head, 1)), context.scale);
          return [
            tf.matMul(dScores, cell(ks, b, head, 1)),
            transposedTimes(dScores, cell(qs, b, head, group)),
            transposedTimes(p, dOut),
            dScores,
          ] as const;
        });
        const collect = (index: 0 | 1 | 2) => gradients.map((gradient) => gradient[index] as tf.Tensor2D);
        const ofInputs = [
          assemble(collect(0), rows, group),
          assemble(collect(1), keys, 1),
          assemble(collect(2), keys, 1),
        ];
        if (!bias) return ofInputs;
        const ofBias = gradients.map((gradient) => tf.reshape(gradient[3], [1, rows, group, keys]));
        const joined = tf.transpose(tf.concat(ofBias, 0), [0, 2, 1, 3]);
        return [...ofInputs, tf.reshape(joined, [batch, heads, rows, keys])];
      },
    };
  });
}
