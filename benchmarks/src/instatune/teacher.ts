// Whom the distilled networks of a study learn from: the picked plain fine-tuned network, or an ensemble around it.
import * as tf from '@tensorflow/tfjs';
import {
  askTeacher,
  createTargets,
  disposeInputs,
  disposeTargets,
  disposeTeacher,
  inputTensors,
  type Dataset,
  type ElasticModel,
} from '@instatune/supernet';

export interface TeacherRecipe {
  /** Every try of plain fine-tuning on the training examples, instead of the picked one alone. @defaultValue false */
  readonly tries?: boolean;
  /** Another checkpoint with the same classes, fine-tuned on the labels likewise. @defaultValue none */
  readonly beside?: { readonly weights: string; readonly learningRate: number; readonly steps: number };
  /** For all that comes after it, the KD-only network, too. @defaultValue false */
  readonly distilled?: boolean;
}

/** Accuracy and loss of a teacher on a dataset. */
export async function scoreTeacher(
  teacher: readonly ElasticModel[],
  data: Dataset,
  batchSize: number,
): Promise<{ accuracy: number; loss: number }> {
  let [loss, correct, count] = [0, 0, 0];
  for (let from = 0; from < data.length; from += batchSize) {
    const rows = Math.min(batchSize, data.length - from);
    const batch = await data.batch(Array.from({ length: rows }, (_, row) => from + row));
    const inputs = inputTensors(batch);
    const targets = createTargets(batch.labels);
    const distribution = askTeacher(teacher, inputs, { targets });
    const numbers = tf.tidy(() => {
      const { probabilities } = distribution;
      const weights = targets.weights ?? tf.onesLike(distribution.negativeEntropy);
      const labels = tf.squeeze(tf.slice(targets.indices, [0, 1], [-1, 1]), [1]) as tf.Tensor1D;
      const right = tf.cast(tf.equal(tf.argMax(probabilities, 1), labels), 'float32');
      const surprise = tf.neg(tf.log(tf.maximum(tf.gatherND(probabilities, targets.indices), 1e-37)));
      return tf.stack([tf.sum(tf.mul(surprise, weights)), tf.sum(tf.mul(right, weights))]);
    });
    const [lost, hits] = (await numbers.data()) as unknown as [number, number];
    loss += lost;
    correct += hits;
    count += targets.count;
    numbers.dispose();
    disposeTeacher(distribution);
    disposeTargets(targets);
    disposeInputs(inputs);
  }
  return { accuracy: correct / count, loss: loss / count };
}
