// Matrix products with gradients that stay on each backend's fast path.
import * as tf from '@tensorflow/tfjs';
import { onWebGpu } from '../webgpu/tfjs-backend.ts';
import { halfProduct } from '../webgpu/half-products.ts';
import { columnSum } from '../webgpu/rows.ts';
import { customGradient } from './custom-gradient.ts';
import { isOnHeap, sumRowsOnHeap } from './host-arrays.ts';

/**
 * Whether products of this backend should be single and plain. tfjs-wasm multiplies by XNNPACK only when nothing is transposed and the
 * batch is 1; the rest takes a scalar loop many times slower, so transposes are made explicit and heads go one by one. A replaced
 * kernel that says it is `batched` (@hip/kernels-cpu/tfjs, `{ matmul: true }`) takes all products as they are.
 */
export function wantsPlainProducts(): boolean {
  if (tf.getBackend() !== 'wasm') return false;
  const kernel = tf.getKernel('BatchMatMul', 'wasm')?.kernelFunc as { readonly batched?: boolean } | undefined;
  return kernel?.batched !== true;
}

/** Sum over the rows of x [N, D] → [D]. */
export function sumRows(x: tf.Tensor2D): tf.Tensor1D {
  if (onWebGpu()) return columnSum(x);
  // tfjs-wasm would transpose x first.
  return isOnHeap(x) ? sumRowsOnHeap(x) : tf.sum(x, 0);
}

/** x [N, in] · w [in, out] (+ bias [out]) → [N, out], differentiable in all arguments. */
export function linear(x: tf.Tensor2D, w: tf.Tensor2D, bias?: tf.Tensor1D): tf.Tensor2D {
  if (!bias) return matMul(x, w);
  return customGradient([x, w, bias], ([input, weight, b], save) => {
    save([input, weight]);
    return {
      value: halfProduct(input, weight, false, false, b) ?? tf.fused.matMul({ a: input, b: weight, bias: b }),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [a, m] = saved as [tf.Tensor2D, tf.Tensor2D];
        return [() => timesTransposed(dy, m), () => transposedTimes(a, dy), () => sumRows(dy)];
      },
    };
  });
}

/** a [N, K] · b [K, M], differentiable. */
export function matMul(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return customGradient([a, b], ([left, right], save) => {
    save([left, right]);
    return {
      value: halfProduct(left, right, false, false) ?? tf.matMul(left, right),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [l, r] = saved as [tf.Tensor2D, tf.Tensor2D];
        return [() => timesTransposed(dy, r), () => transposedTimes(l, dy)];
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
        return [
          () => halfProduct(dy, w, false, false) ?? tf.matMul(dy, w),
          () => {
            // Aᵀ·dY transposes the small activation, not the [N, V] gradient.
            if (wantsPlainProducts()) return tf.transpose(transposedTimes(a, dy));
            return halfProduct(dy, a, true, false) ?? tf.matMul(dy, a, true);
          },
        ];
      },
    };
  });
}

/** a [N, K] · bᵀ for b [M, K]. */
export function timesTransposed(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  if (!wantsPlainProducts()) return halfProduct(a, b, false, true) ?? tf.matMul(a, b, false, true);
  const [[rows, inner], [columns]] = [a.shape, b.shape];
  if (rows * (inner + columns) >= columns * inner) return tf.matMul(a, tf.transpose(b));
  // The transpose of a large matrix takes longer than its product with a few rows. Not a reshape, where there is one row: XNNPACK
  // keeps what it packed of a right factor by its values' place, whatever their shape, and would take it for the other one.
  return tf.tidy(() => tf.transpose(tf.matMul(b, tf.transpose(a))));
}

/** aᵀ · b for a [N, K], b [N, M]. */
export function transposedTimes(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  if (wantsPlainProducts()) return tf.matMul(tf.transpose(a), b);
  const half = halfProduct(a, b, true, false);
  if (half) return half;
  const parts = onWebGpu() ? splitsOf(a.shape[0], a.shape[1], b.shape[1]) : 1;
  if (parts === 1) return tf.matMul(a, b, true);
  const cut = (x: tf.Tensor2D) => tf.reshape(x, [parts, x.shape[0] / parts, x.shape[1]]);
  const partial: tf.Tensor3D = tf.matMul(cut(a), cut(b), true);
  const sum = columnSum(tf.reshape(partial, [parts, a.shape[1] * b.shape[1]]));
  return tf.reshape(sum, [a.shape[1], b.shape[1]]);
}

/** Workgroups (32 × 32 outputs each) that keep a large GPU busy. */
const BUSY_TILES = 2048;

/**
 * Parts of the long inner extent of a weight gradient aᵀ·b: its few output tiles alone would leave most of a GPU idle. The parts are
 * added in a fixed order, so that runs repeat.
 */
export function splitsOf(inner: number, rows: number, columns: number): number {
  const tiles = Math.ceil(rows / 32) * Math.ceil(columns / 32);
  let parts = 1;
  while (parts < 64 && tiles * parts < BUSY_TILES && inner % (2 * parts) === 0 && inner / (2 * parts) >= 64) parts *= 2;
  return parts;
}
