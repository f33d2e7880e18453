// The gradient of a softmax over scaled scores.
import * as tf from '@tensorflow/tfjs';

/** Gradient of the unscaled scores from probabilities p and the gradient of p. */
export function softmaxGradient<T extends tf.Tensor2D | tf.Tensor3D>(p: T, dp: tf.Tensor, scale: number): T {
  const weighted = tf.mul(dp, p);
  return tf.mul(tf.sub(weighted, tf.mul(p, tf.sum(weighted, -1, true))), scale);
}
