// RMS norm and layer norm over the last axis with fused gradients (few tfjs calls forward and backward).
import * as tf from '@tensorflow/tfjs';
import { onWebGpu } from '../webgpu/tfjs-backend.ts';
import { norm, normGradients } from '../webgpu/rows.ts';
import { customGradient } from './custom-gradient.ts';
import { sumRows } from './matmul.ts';

/** x / √(mean(x²) + ε) · weight over the last axis; x [N, D]. Zhang & Sennrich 2019. */
export function rmsNorm(x: tf.Tensor2D, weight: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  if (onWebGpu()) return fusedNorm(x, weight, undefined, epsilon);
  return customGradient([x, weight], ([input, w], save) => {
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(input), -1, true), epsilon));
    const normalized = tf.mul(input, inverse);
    save([normalized, inverse, w]);
    return {
      value: tf.mul(normalized, w),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [n, r, scale] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D];
        const dn = tf.mul(dy, scale);
        const dx = tf.mul(tf.sub(dn, tf.mul(n, tf.mean(tf.mul(dn, n), -1, true))), r);
        return [dx, () => sumRows(tf.mul(dy, n))];
      },
    };
  });
}

/** (x − mean) / √(variance + ε) · weight + bias over the last axis; x [N, D]. Without a bias it is zero. */
export function layerNorm(
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  given: tf.Tensor1D | undefined,
  epsilon: number,
): tf.Tensor2D {
  const bias: tf.Tensor1D = given ?? tf.zeros([x.shape[1]]);
  if (onWebGpu()) return fusedNorm(x, weight, bias, epsilon);
  return customGradient([x, weight, bias], ([input, w, b], save) => {
    const centred = tf.sub(input, tf.mean(input, -1, true));
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
    const normalized = tf.mul(centred, inverse);
    save([normalized, inverse, w]);
    return {
      value: tf.add(tf.mul(normalized, w), b),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [n, r, scale] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D];
        const dn = tf.mul(dy, scale);
        const projected = tf.mul(n, tf.mean(tf.mul(dn, n), -1, true));
        const dx = tf.mul(tf.sub(tf.sub(dn, tf.mean(dn, -1, true)), projected), r);
        return [dx, () => sumRows(tf.mul(dy, n)), () => sumRows(dy)];
      },
    };
  });
}

/**
 * Layer norm whose statistics see only the features of a mask, `kept` of them (masked mode): equals {@link layerNorm} of the slice,
 * with zeros elsewhere.
 */
export function maskedLayerNorm(
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D | undefined,
  epsilon: number,
  mask: tf.Tensor1D,
  kept: number,
): tf.Tensor2D {
  const mean = tf.div(tf.sum(tf.mul(x, mask), -1, true), kept);
  const centred = tf.mul(tf.sub(x, mean), mask);
  const variance = tf.div(tf.sum(tf.square(centred), -1, true), kept);
  const normalized = tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon)));
  const scaled: tf.Tensor2D = tf.mul(normalized, weight);
  return tf.mul(bias ? tf.add(scaled, bias) : scaled, mask);
}

/** RMS norm whose mean square sees only the first `kept` features: equals {@link rmsNorm} of the slice, with zeros elsewhere. */
export function maskedRmsNorm(
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  epsilon: number,
  mask: tf.Tensor1D,
  kept: number,
): tf.Tensor2D {
  const live = tf.mul(x, mask);
  const square = tf.div(tf.sum(tf.square(live), -1, true), kept);
  return tf.mul(tf.mul(live, tf.rsqrt(tf.add(square, epsilon))), weight);
}

function fusedNorm(x: tf.Tensor2D, weight: tf.Tensor1D, bias: tf.Tensor1D | undefined, epsilon: number): tf.Tensor2D {
  const inputs = bias ? [x, weight, bias] : [x, weight];
  return customGradient<tf.Tensor[], tf.Tensor2D>(inputs, ([input, w, b], save) => {
    save([input as tf.Tensor, w as tf.Tensor]);
    return {
      value: norm(input as tf.Tensor2D, w as tf.Tensor1D, b as tf.Tensor1D | undefined, epsilon),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) =>
        normGradients(dy, saved[0] as tf.Tensor2D, saved[1] as tf.Tensor1D, epsilon, bias === undefined),
    };
  });
}
