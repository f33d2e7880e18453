// Distillation of hidden states: after every layer a student's are drawn to its teacher's, whose layers it is cut from (TinyBERT, Jiao 2020, §3).
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../../errors.ts';
import { realTokens } from '../../model/real-rows.ts';
import type { AttentionFunction, ElasticModel, ModelInputs } from '../../model/types.ts';

/** A teacher's hidden states of a batch. */
export interface HiddenTargets {
  /** After every layer [B, T, D]. */
  readonly states: readonly tf.Tensor3D[];
  /** What each token's squared difference counts, all together 1 / D [B, T, 1]: 0 of padding. */
  readonly shares: tf.Tensor3D;
  /** What it says. */
  readonly logits: tf.Tensor;
}

/** Hidden states of a teacher, and its logits. The caller disposes ({@link disposeHiddenTargets}). */
export function askHiddenStates(
  teacher: ElasticModel,
  inputs: ModelInputs,
  attention: AttentionFunction | undefined,
): HiddenTargets {
  return tf.tidy(() => {
    const { logits, hiddenStates = [] } = teacher.forward(inputs, {
      hiddenStates: true,
      ...(attention && { attention }),
    });
    const states = hiddenStates.slice(1);
    const [batch, length, width] = (hiddenStates[0] as tf.Tensor3D).shape;
    const { attentionMask } = inputs;
    const real = attentionMask ? realTokens(attentionMask) : tf.ones([batch, length]);
    const shares = tf.div(real, tf.mul(tf.maximum(tf.sum(real), 1), width));
    return { states, logits, shares: tf.reshape(shares, [batch, length, 1]) } as HiddenTargets &
      tf.TensorContainerObject;
  }) as HiddenTargets;
}

/**
 * Mean over layers, real tokens and channels of (h − h_teacher)²: layer n against layer n, a shorter student's last against the teacher's last.
 *
 * @param own hidden states of the student, that of its embeddings first
 * @throws SupernetError `invalid-option` for a student of more layers than the teacher, or of another hidden size
 */
export function hiddenStateLoss(
  own: readonly tf.Tensor3D[],
  { states, shares }: Omit<HiddenTargets, 'logits'>,
): tf.Scalar {
  const layers = own.length - 1;
  const [wanted, width] = [states[0]?.shape[2], own[0]?.shape[2]];
  if (layers > states.length || wanted !== width) {
    throw new SupernetError(
      'invalid-option',
      `hiddenStates: a student of ${layers} layers of ${width} channels, a teacher of ${states.length} of ${wanted}: give 0, or a teacher of the student's hidden size`,
      { layers, width, teacherLayers: states.length, teacherWidth: wanted },
    );
  }
  if (layers === 0) return tf.scalar(0);
  return tf.tidy(() => {
    let sum: tf.Scalar | undefined;
    for (let layer = 1; layer <= layers; layer++) {
      const theirs = states[layer === layers ? states.length - 1 : layer - 1] as tf.Tensor3D;
      const difference = tf.squaredDifference(own[layer] as tf.Tensor3D, theirs);
      const one: tf.Scalar = tf.sum(tf.mul(difference, shares));
      sum = sum ? tf.add(sum, one) : one;
    }
    return tf.div(sum as tf.Scalar, layers);
  });
}

export function disposeHiddenTargets({ states, shares, logits }: HiddenTargets): void {
  tf.dispose([...states, shares, logits]);
}
