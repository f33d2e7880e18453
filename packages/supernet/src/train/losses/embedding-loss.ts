// The loss of sentence embeddings that learn from a teacher's.
import * as tf from '@tensorflow/tfjs';
import { LEAST_PROBABILITY } from './distributions.ts';
import type { LossTerms } from './distributions.ts';
import type { Targets } from './targets.ts';

/** Cosines of a batch are divided by this before their softmax. */
const SIMILARITY_TEMPERATURE = 0.05;

export function embeddingLoss(
  z: tf.Tensor2D,
  targets: Targets,
  { soft, teacher, normalizer, similarities = 1 }: LossTerms,
): { value: tf.Scalar; slope: tf.Tensor2D } {
  if (!teacher || soft === 0) return { value: tf.scalar(0), slope: tf.zerosLike(z) };
  const rows = z.shape[0];
  const lengths = (x: tf.Tensor2D) => tf.sqrt(tf.maximum(tf.sum(tf.square(x), 1, true), 1e-24));
  const [length, weights] = [lengths(z), targets.weights ? tf.expandDims(targets.weights, 1) : tf.ones([rows, 1])];
  const own = tf.div(z, length) as tf.Tensor2D;
  const theirs = tf.div(teacher.probabilities, lengths(teacher.probabilities)) as tf.Tensor2D;
  const cosines = tf.sum(tf.mul(own, theirs), 1, true);
  let losses = tf.sub(1, cosines);
  let slope: tf.Tensor = tf.neg(tf.mul(theirs, weights));
  if (similarities > 0) {
    const { kl, towards } = similarityLoss(own, theirs, weights as tf.Tensor2D, teacher.temperature);
    losses = tf.add(losses, tf.mul(kl, similarities));
    slope = tf.add(slope, tf.mul(towards, similarities));
  }
  // Along itself a vector's length changes nothing.
  const across = tf.div(tf.sub(slope, tf.mul(own, tf.sum(tf.mul(slope, own), 1, true))), length);
  return {
    value: tf.mul(tf.sum(tf.mul(losses, weights)), soft / normalizer) as tf.Scalar,
    slope: tf.mul(across, soft / normalizer) as tf.Tensor2D,
  };
}

/** KL of the softmaxed cosines of a batch's other vectors [N, 1], and its gradient in the unit vectors [N, V]. */
function similarityLoss(
  own: tf.Tensor2D,
  theirs: tf.Tensor2D,
  weights: tf.Tensor2D,
  temperature: number,
): { kl: tf.Tensor; towards: tf.Tensor } {
  const tau = SIMILARITY_TEMPERATURE * temperature;
  // No vector is compared with itself, nor with one that does not count.
  const hidden = tf.mul(tf.maximum(tf.eye(own.shape[0]), tf.sub(1, tf.transpose(weights))), 1e9);
  const similar = (x: tf.Tensor2D) =>
    tf.softmax(tf.sub(tf.div(tf.matMul(x, tf.transpose(x)), tau), hidden)) as tf.Tensor2D;
  const [p, q] = [similar(theirs), similar(own)];
  const log = (x: tf.Tensor) => tf.log(tf.maximum(x, LEAST_PROBABILITY));
  const pull = tf.mul(tf.sub(q, p), weights);
  return {
    kl: tf.sum(tf.mul(p, tf.sub(log(p), log(q))), 1, true),
    towards: tf.div(tf.matMul(tf.add(pull, tf.transpose(pull)) as tf.Tensor2D, own), tau),
  };
}
