// What logits are compared with: labels, and outputs that are no single class.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../../errors.ts';

/**
 * How outputs z are compared with targets y: `softmax`, one class is right; `sigmoid`, any number of them (−y·log σ(z) − (1−y)·log(1−σ(z)));
 * `squared`, values ((z − y)²); `embedding`, vectors without targets, which only learn from a teacher's t: 1 − cos(z, t), plus the KL of
 * softmax over the cosines of the batch's other vectors / 0.05 (Hinton 2015's distillation, of similarities).
 */
export type OutputKind = 'softmax' | 'sigmoid' | 'squared' | 'embedding';

/** Targets of N logits rows. */
export interface Targets {
  /** (row, label) pairs [N, 2] int32; ignored rows carry label 0. */
  readonly indices: tf.Tensor2D;
  /** 1 per counted row, 0 per ignored one, [N]; absent when every row counts. */
  readonly weights?: tf.Tensor1D;
  /** Rows that count. */
  readonly count: number;
  /** Largest label: must be a class of the logits. @defaultValue not checked */
  readonly largest?: number;
  /** @defaultValue 'softmax' */
  readonly kind?: OutputKind;
  /** What outputs should be [N, V], where they are no single class. */
  readonly values?: tf.Tensor2D;
  /** Factor on each output's loss where they are added up: 1 / V is the mean over them. @defaultValue 1 */
  readonly share?: number;
}

/** Labels (−1 = ignored) → targets. The caller disposes. */
export function createTargets(labels: Int32Array): Targets {
  const indices = new Int32Array(labels.length * 2);
  let count = 0;
  let largest = -1;
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row] as number;
    if (label > largest) largest = label;
    indices[2 * row] = row;
    indices[2 * row + 1] = Math.max(0, label);
    if (label >= 0) count++;
  }
  const tensor = tf.tensor2d(indices, [labels.length, 2], 'int32');
  if (count === labels.length) return { indices: tensor, count, largest };
  const weights = tf.tensor1d(Float32Array.from(labels, (label) => (label >= 0 ? 1 : 0)));
  return { indices: tensor, weights, count, largest };
}

/** Frees the tensors of targets. */
export function disposeTargets(targets: Targets): void {
  targets.indices.dispose();
  targets.weights?.dispose();
  targets.values?.dispose();
}

export function noClass(label: number, classes: number): SupernetError {
  return new SupernetError('invalid-data', `label ${label} of ${classes} classes: labels are 0…${classes - 1}`, {
    label,
    classes,
  });
}
