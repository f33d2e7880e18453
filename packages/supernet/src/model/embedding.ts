// Embedding lookup whose gradient works on every backend (tfjs's own needs UnsortedSegmentSum, which wasm lacks).
import * as tf from '@tensorflow/tfjs';
import { scatterRows as scatterOnGpu } from '../webgpu/loss.ts';
import { onWebGpu } from '../webgpu/tfjs-backend.ts';
import { customGradient } from './custom-gradient.ts';
import { sumRows } from './matmul.ts';

/** Elements of a one-hot block in the gradient on WebGL. */
const ONE_HOT_ELEMENTS = 1 << 24;

/** Rows of table [V, D] for ids [N] int32 → [N, D]; differentiable in the table. */
export function embed(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  return customGradient([table], ([weights], save) => {
    save([ids]);
    const shape = weights.shape;
    return {
      value: tf.gather(weights, ids),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => [scatterRows(dy, saved[0] as tf.Tensor1D, shape)],
    };
  });
}

/** A vector [D] once per example → [N, D]; differentiable (tfjs's tile has a gradient of N slices). */
export function repeatRow(row: tf.Tensor1D, count: number): tf.Tensor2D {
  return customGradient([row], ([vector]) => ({
    value: tf.tile(tf.reshape(vector, [1, vector.size]), [count, 1]),
    gradFunc: (dy: tf.Tensor2D) => [sumRows(dy)],
  }));
}

/** Sum of the rows of dy [N, D] into a [V, D] table at ids [N]. */
function scatterRows(dy: tf.Tensor2D, ids: tf.Tensor1D, shape: [number, number]): tf.Tensor2D {
  const backend = tf.getBackend();
  // The CPU kernels of scatterND add duplicates up in order.
  if (backend === 'wasm' || backend === 'cpu') {
    return tf.scatterND(tf.expandDims(ids, 1), dy, shape) as tf.Tensor2D;
  }
  if (onWebGpu()) return scatterOnGpu(dy, ids, shape);
  // On other GPU backends float atomics would make runs differ from each other: one-hot products, in blocks of rows.
  const rows = Math.max(1, Math.floor(ONE_HOT_ELEMENTS / shape[0]));
  let sum: tf.Tensor2D | undefined;
  for (let start = 0; start < dy.shape[0]; start += rows) {
    const count = Math.min(rows, dy.shape[0] - start);
    const hot = tf.oneHot(tf.slice1d(ids, start, count), shape[0], 1, 0, 'float32') as tf.Tensor2D;
    const part: tf.Tensor2D = tf.matMul(hot, tf.slice2d(dy, [start, 0], [count, shape[1]]), true);
    sum = sum ? tf.add(sum, part) : part;
  }
  return sum ?? tf.zeros<tf.Rank.R2>(shape);
}
