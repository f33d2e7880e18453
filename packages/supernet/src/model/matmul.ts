// Matrix products with gradients that stay on each backend's fast path.
import * as tf from '@tensorflow/tfjs';
import { customGradient } from './custom-gradient.ts';

/**
 * tfjs-wasm multiplies by XNNPACK only when nothing is transposed and the batch is 1; the rest takes a scalar loop many times slower.
 * There, transposes are made explicit and batches are multiplied one by one.
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
        return [timesTransposed(dy, m), transposedTimes(a, dy), tf.sum(dy, 0)];
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

/** Batched product [G, N, K] · [G, K, M] (each optionally transposed). Not differentiable: use inside custom gradients. */
export function batchMatMul(a: tf.Tensor3D, b: tf.Tensor3D, transposeA = false, transposeB = false): tf.Tensor3D {
  if (!isWasm() || a.shape[0] > MAX_UNROLLED_BATCH) return tf.matMul(a, b, transposeA, transposeB);
  const left = transposeA ? tf.transpose(a, [0, 2, 1]) : a;
  const right = transposeB ? tf.transpose(b, [0, 2, 1]) : b;
  if (a.shape[0] === 1) return tf.matMul(left, right);
  const [groups, rows, inner] = left.shape;
  const columns = right.shape[2];
  const products = Array.from({ length: groups }, (_, g) =>
    tf.matMul(
      tf.slice3d(left, [g, 0, 0], [1, rows, inner]).as2D(rows, inner),
      tf.slice3d(right, [g, 0, 0], [1, inner, columns]).as2D(inner, columns),
    ),
  );
  return tf.concat(products, 0).as3D(groups, rows, columns);
}

/** Above this many batches the calls cost more than the slow loop. */
const MAX_UNROLLED_BATCH = 4096;
