// Matrix products with gradients that stay on each backend's fast path.
import * as tf from '@tensorflow/tfjs';
import { onWebGpu } from '../webgpu/program.ts';
import { columnSum } from '../webgpu/rows.ts';
import { customGradient } from './custom-gradient.ts';

/**
 * tfjs-wasm multiplies by XNNPACK only when nothing is transposed and the batch is 1; the rest takes a scalar loop many times slower.
 * There, transposes are made explicit.
 */
function isWasm(): boolean {
  return tf.getBackend() === 'wasm';
}

/** x [N, in] · w [in, out] (+ bias [out]) → [N, out], differentiable in all arguments. */
export function linear(x: tf.Tensor2D, w: tf.Tensor2D, bias?: tf.Tensor1D): tf.Tensor2D {
  if (!bias) return matMul(x, w);
  return customGradient([x, w, bias], ([input, weight, b], save) => {
    save([input, weight]);
    return {
      value: tf.fused.matMul({ a: input, b: weight, bias: b }),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [a, m] = saved as [tf.Tensor2D, tf.Tensor2D];
        return [timesTransposed(dy, m), transposedTimes(a, dy), onWebGpu() ? columnSum(dy) : tf.sum(dy, 0)];
      },
    };
  });
}

/** a [N, K] · b [K, M], differentiable. */
export function matMul(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return customGradient([a, b], ([left, right], save) => {
    save([left, right]);
    return {
      value: tf.matMul(left, right),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [l, r] = saved as [tf.Tensor2D, tf.Tensor2D];
        return [timesTransposed(dy, r), transposedTimes(l, dy)];
      },
    };
  });
}

/** Logits of tied embeddings: x [N, D] · tableᵀ [D, V], differentiable in both. */
export function matMulTied(x: tf.Tensor2D, table: tf.Tensor2D): tf.Tensor2D {
  return customGradient([x, table], ([input, weight], save) => {
    save([input, weight]);
    return {
      value: timesTransposed(input, weight),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [a, w] = saved as [tf.Tensor2D, tf.Tensor2D];
        // Aᵀ·dY transposes the small activation, not the [N, V] gradient.
        return [tf.matMul(dy, w), isWasm() ? tf.transpose(transposedTimes(a, dy)) : tf.matMul(dy, a, true)];
      },
    };
  });
}

/** a [N, K] · bᵀ for b [M, K]. */
export function timesTransposed(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return isWasm() ? tf.matMul(a, tf.transpose(b)) : tf.matMul(a, b, false, true);
}

/** aᵀ · b for a [N, K], b [N, M]. */
export function transposedTimes(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return isWasm() ? tf.matMul(tf.transpose(a), b) : tf.matMul(a, b, true);
}
