// Gradient sets by weight name: accumulation over passes and the global norm for clipping.
import * as tf from '@tensorflow/tfjs';
import { clipFactor as clipOnGpu, globalNorm as normOnGpu } from '../../webgpu/adamw.ts';
import { addInPlace } from '../../webgpu/elementwise.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { isOwnOnHeap, sumOfSquares } from '../../model/host-arrays.ts';

/** Gradients by canonical weight name; owned by whoever holds the set. */
export type GradientSet = Map<string, tf.Tensor>;

/** Adds `more` into `total` (both owned; `more` is consumed). */
export function accumulate(total: GradientSet, more: GradientSet): void {
  for (const [name, gradient] of more) {
    const held = total.get(name);
    if (!held) {
      total.set(name, gradient);
      continue;
    }
    if (!(onWebGpu() && addInPlace(held, gradient))) {
      total.set(name, tf.add(held, gradient));
      held.dispose();
    }
    gradient.dispose();
  }
  more.clear();
}

/** √Σ‖g‖² over all gradients, a scalar on the device. The caller disposes. */
export function globalNorm(gradients: GradientSet): tf.Scalar {
  if (gradients.size === 0) return tf.scalar(0);
  if (onWebGpu()) return normOnGpu([...gradients.values()]);
  if (isOwnOnHeap(...gradients.values())) {
    let sum = 0;
    for (const gradient of gradients.values()) sum += sumOfSquares(gradient);
    return tf.scalar(Math.sqrt(sum));
  }
  return tf.tidy(() => {
    const squares = [...gradients.values()].map((gradient) => tf.sum(tf.square(gradient)) as tf.Scalar);
    return tf.sqrt(squares.length === 1 ? (squares[0] as tf.Scalar) : tf.addN(squares)) as tf.Scalar;
  });
}

/** min(1, limit / norm): the factor of clipping by global norm (Pascanu 2013), on the device. The caller disposes. */
export function clipFactor(norm: tf.Scalar, limit: number): tf.Scalar {
  if (onWebGpu()) return clipOnGpu(norm, limit);
  return tf.tidy(() => tf.minimum(tf.div(limit, tf.add(norm, 1e-12)), 1) as tf.Scalar);
}

/** Frees every gradient of a set. */
export function disposeGradients(gradients: GradientSet): void {
  for (const gradient of gradients.values()) gradient.dispose();
  gradients.clear();
}
