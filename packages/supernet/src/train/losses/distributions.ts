// Output distributions that a network learns from: a teacher's, and labels of blended examples.
import * as tf from '@tensorflow/tfjs';
import { negativeEntropy as entropyOnGpu } from '../../webgpu/loss.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { noClass } from './targets.ts';
import type { OutputKind } from './targets.ts';

/** A normal float32, so that its logarithm is finite on every backend. */
export const LEAST_PROBABILITY = 1e-37;

/** A teacher's output distribution for the same N rows, fixed (no gradient flows into it). */
export interface TeacherDistribution {
  /** softmax(z / ρ) [N, V]; σ(z / ρ) of `sigmoid` outputs; z of `squared` ones and of `embedding`s. */
  readonly probabilities: tf.Tensor2D;
  /** Σ p·log p per row [N], of `sigmoid` outputs with (1−p)·log(1−p); 0 of `squared` ones. */
  readonly negativeEntropy: tf.Tensor1D;
  readonly temperature: number;
}

/** Weights of {@link objectiveLoss}. */
export interface LossTerms {
  /** Factor on the cross-entropy with the labels. */
  readonly hard: number;
  /** Factor on ρ²·KL(teacher‖student). */
  readonly soft: number;
  readonly teacher?: TeacherDistribution;
  /** Of `embedding` outputs: factor on the KL of similarities beside 1 − cos. @defaultValue 1 */
  readonly similarities?: number;
  /** What the sum over rows is divided by (the labelled rows of the whole step under gradient accumulation). */
  readonly normalizer: number;
}

/** log Σ exp(z) per row [N], stable: max(z) − log(max(softmax(z))) needs no second exponential. */
export function logSumExp(logits: tf.Tensor2D, probabilities: tf.Tensor2D): tf.Tensor1D {
  return tf.sub(tf.max(logits, 1), tf.log(tf.max(probabilities, 1)));
}

/** A teacher's distribution at temperature ρ from its logits [N, V]. The caller disposes. */
export function teacherDistribution(
  logits: tf.Tensor2D,
  temperature = 1,
  kind: OutputKind = 'softmax',
): TeacherDistribution {
  if (kind === 'squared' || kind === 'embedding')
    return { probabilities: tf.clone(logits), negativeEntropy: tf.zeros([logits.shape[0]]), temperature };
  if (kind === 'sigmoid') {
    const [p, entropy] = tf.tidy(() => {
      const own = tf.sigmoid(tf.div(logits, temperature)) as tf.Tensor2D;
      return [own, bernoulliEntropy(own)] as [tf.Tensor2D, tf.Tensor1D];
    });
    return { probabilities: p, negativeEntropy: entropy, temperature };
  }
  const [probabilities, negativeEntropy] = tf.tidy(() => {
    const scaled = temperature === 1 ? logits : tf.div(logits, temperature);
    const p = tf.softmax(scaled) as tf.Tensor2D;
    if (onWebGpu()) return [p, entropyOnGpu(scaled as tf.Tensor2D)] as [tf.Tensor2D, tf.Tensor1D];
    return [p, tf.sub(tf.sum(tf.mul(p, scaled), 1), logSumExp(scaled as tf.Tensor2D, p))] as [tf.Tensor2D, tf.Tensor1D];
  });
  return { probabilities, negativeEntropy, temperature };
}

/** Σ p·log p + (1−p)·log(1−p) per row [N] of probabilities of classes by themselves [N, V]. */
export function bernoulliEntropy(p: tf.Tensor2D): tf.Tensor1D {
  const term = (share: tf.Tensor) => tf.mul(share, tf.log(tf.maximum(share, LEAST_PROBABILITY)));
  return tf.tidy(() => tf.sum(tf.add(term(p), term(tf.sub(1, p))), 1) as tf.Tensor1D);
}

/**
 * Labels of blended rows as a distribution [N, V]: as a teacher at temperature 1 its term of {@link objectiveLoss} is the
 * cross-entropy with both labels, each by its share. The caller disposes.
 *
 * @throws SupernetError `invalid-data` for a label that is no class
 */
export function blendedLabels(
  labels: Int32Array,
  mixed: { readonly labels: Int32Array; readonly share: Float32Array },
  classes: number,
): TeacherDistribution {
  const rows = labels.length;
  const shares = new Float32Array(rows * classes);
  const add = (row: number, label: number, share: number): void => {
    if (label >= classes) throw noClass(label, classes);
    if (label >= 0) shares[row * classes + label]! += share;
  };
  for (let row = 0; row < rows; row++) {
    const share = mixed.share[row] as number;
    add(row, labels[row] as number, share);
    add(row, mixed.labels[row] as number, 1 - share);
  }
  // Without the entropy the term is the cross-entropy itself.
  return { probabilities: tf.tensor2d(shares, [rows, classes]), negativeEntropy: tf.zeros([rows]), temperature: 1 };
}

/** Frees a teacher's distribution. */
export function disposeTeacher(teacher: TeacherDistribution): void {
  teacher.probabilities.dispose();
  teacher.negativeEntropy.dispose();
}
