// The keys of a pass that are real.
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '@hip/checkpoints';

/** Which keys of a pass are real [B, length]: all tokens of images in front of a text are. */
export function keyMask({ multiway }: ModelConfig, mask: tf.Tensor2D, length: number): tf.Tensor2D {
  const [batch, texts] = mask.shape;
  if (!multiway || length <= texts) return mask;
  return tf.concat([tf.ones([batch, length - texts], 'int32'), tf.cast(mask, 'int32')], 1) as tf.Tensor2D;
}
