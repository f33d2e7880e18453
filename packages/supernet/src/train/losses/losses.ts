// Cross-entropy (and its like for outputs that are no single class) and distillation on logits [N, V]: value and gradient in as few passes over [N, V] as tfjs allows.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../../errors.ts';
import { customGradient } from '../../model/custom-gradient.ts';
import { objective } from '../../webgpu/loss.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { logSumExp } from './distributions.ts';
import type { LossTerms } from './distributions.ts';
import { embeddingLoss } from './embedding-loss.ts';
import { noClass } from './targets.ts';
import type { Targets } from './targets.ts';

/** −log softmax(z)[label] per row, in nats; logits [N, V] → [N] (ignored rows too: weigh them). Not differentiable. */
export function crossEntropyRows(logits: tf.Tensor2D, targets: Targets): tf.Tensor1D {
  return tf.tidy(() =>
    tf.sub(logSumExp(logits, tf.softmax(logits)), tf.gatherND(logits, targets.indices) as tf.Tensor1D),
  );
}

/** [B, T, V] or [B, V] → [N, V]. @throws SupernetError `invalid-data` when the labels do not fit the logits */
export function flatten(logits: tf.Tensor, targets: Targets): tf.Tensor2D {
  const width = logits.shape.at(-1) as number;
  const rows = logits.size / width;
  if (rows !== targets.indices.shape[0]) {
    throw new SupernetError(
      'invalid-data',
      `${targets.indices.shape[0]} labels for ${rows} rows of logits [${logits.shape.join(', ')}]`,
      { labels: targets.indices.shape[0], rows },
    );
  }
  // An index beyond the row would silently read the next row's logits.
  if (targets.kind === undefined && targets.largest !== undefined && targets.largest >= width)
    throw noClass(targets.largest, width);
  return tf.reshape(logits, [rows, width]);
}

/**
 * hard·CE(labels, z) + soft·ρ²·KL(teacher‖softmax(z/ρ)), summed over the counted rows and divided by `normalizer`; differentiable in
 * the logits. Of `sigmoid` outputs both are sums over the classes, each by itself; of `squared` ones the squared distances to values and teacher. The gradient is formed in the forward pass (softmax is at hand there), so only one [N, V] tensor outlives it:
 *
 *     d/dz = r·[hard·(softmax(z) − onehot) + soft·ρ·(softmax(z/ρ) − p_teacher)],  r = row weight / normalizer
 *
 * @param logits [N, V]
 */
export function objectiveLoss(logits: tf.Tensor2D, targets: Targets, terms: LossTerms): tf.Scalar {
  return customGradient<[tf.Tensor2D], tf.Tensor>([logits], ([z], save) => {
    const { value, slope } = tf.tidy(() => lossAndSlope(z, targets, terms)) as { value: tf.Scalar; slope: tf.Tensor2D };
    save([slope]);
    return { value, gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => [tf.mul(saved[0] as tf.Tensor2D, dy)] };
  }) as tf.Scalar;
}

function lossAndSlope(z: tf.Tensor2D, targets: Targets, terms: LossTerms): { value: tf.Scalar; slope: tf.Tensor2D } {
  const { hard, soft, teacher, normalizer } = terms;
  if (targets.kind && targets.kind !== 'softmax') return outputLoss(z, targets, terms);
  if (onWebGpu()) {
    const weights = targets.weights
      ? (tf.div(targets.weights, normalizer) as tf.Tensor1D)
      : tf.fill([z.shape[0]], 1 / normalizer);
    return objective(z, targets.indices, weights as tf.Tensor1D, hard, soft, teacher);
  }
  const p = tf.softmax(z) as tf.Tensor2D;
  const atLabel = tf.gatherND(z, targets.indices) as tf.Tensor1D;
  const lse = logSumExp(z, p);
  let rows: tf.Tensor1D = tf.mul(tf.sub(lse, atLabel), hard);
  let slope: tf.Tensor2D;
  // Row weights as a column [N, 1], or one scalar for all.
  const column = targets.weights && (tf.div(tf.expandDims(targets.weights, 1), normalizer) as tf.Tensor2D);
  const weigh = (factor: number): tf.Tensor => (column ? tf.mul(column, factor) : tf.scalar(factor / normalizer));
  if (teacher && soft > 0) {
    const rho = teacher.temperature;
    const scaled = rho === 1 ? z : (tf.div(z, rho) as tf.Tensor2D);
    const student = rho === 1 ? p : (tf.softmax(scaled) as tf.Tensor2D);
    const cross = tf.sum(tf.mul(teacher.probabilities, scaled), 1);
    const kl = tf.add(tf.sub(teacher.negativeEntropy, cross), rho === 1 ? lse : logSumExp(scaled, student));
    rows = tf.add(rows, tf.mul(kl, soft * rho * rho)) as tf.Tensor1D;
    const pull = tf.mul(teacher.probabilities, weigh(soft * rho));
    slope =
      rho === 1
        ? tf.sub(tf.mul(p, weigh(hard + soft)), pull)
        : tf.add(tf.mul(p, weigh(hard)), tf.sub(tf.mul(student, weigh(soft * rho)), pull));
  } else {
    slope = tf.mul(p, weigh(hard));
  }
  if (hard > 0) {
    // −onehot only touches N elements: written in place of a dense [N, V] one-hot.
    const pulled = tf.sub(
      tf.gatherND(slope, targets.indices),
      column ? tf.mul(tf.squeeze(column, [1]), hard) : hard / normalizer,
    );
    slope = tf.tensorScatterUpdate(slope, targets.indices, pulled) as tf.Tensor2D;
  }
  const weighted = targets.weights ? tf.mul(rows, targets.weights) : rows;
  return { value: tf.div(tf.sum(weighted), normalizer) as tf.Scalar, slope };
}

/** Loss of each row [N] of outputs that are no single class. Not differentiable. */
export function outputLossRows(z: tf.Tensor2D, targets: Targets): tf.Tensor1D {
  return tf.tidy(() => {
    const values = targets.values as tf.Tensor2D;
    const cells = targets.kind === 'squared' ? tf.square(tf.sub(z, values)) : binaryCrossEntropy(z, values);
    return tf.mul(tf.sum(cells, 1), targets.share ?? 1) as tf.Tensor1D;
  });
}

/** −y·log σ(z) − (1−y)·log(1−σ(z)) = max(z, 0) − y·z + log(1 + e^−|z|), whatever z is. */
function binaryCrossEntropy(z: tf.Tensor2D, y: tf.Tensor2D): tf.Tensor2D {
  return tf.add(tf.sub(tf.relu(z), tf.mul(y, z)), tf.log1p(tf.exp(tf.neg(tf.abs(z)))));
}

function outputLoss(z: tf.Tensor2D, targets: Targets, terms: LossTerms): { value: tf.Scalar; slope: tf.Tensor2D } {
  if (targets.kind === 'embedding') return embeddingLoss(z, targets, terms);
  const { hard, soft, teacher, normalizer } = terms;
  const values = targets.values as tf.Tensor2D;
  const share = targets.share ?? 1;
  let rows: tf.Tensor = tf.mul(outputLossRows(z, targets), hard);
  let slope: tf.Tensor;
  if (targets.kind === 'squared') {
    slope = tf.mul(tf.sub(z, values), 2 * hard * share);
    if (teacher && soft > 0) {
      const distance = tf.sub(z, teacher.probabilities);
      rows = tf.add(rows, tf.mul(tf.sum(tf.square(distance), 1), soft * share));
      slope = tf.add(slope, tf.mul(distance, 2 * soft * share));
    }
  } else {
    slope = tf.mul(tf.sub(tf.sigmoid(z), values), hard * share);
    if (teacher && soft > 0) {
      const rho = teacher.temperature;
      const scaled = tf.div(z, rho) as tf.Tensor2D;
      const cross = tf.sum(binaryCrossEntropy(scaled, teacher.probabilities), 1);
      rows = tf.add(rows, tf.mul(tf.add(cross, teacher.negativeEntropy), soft * rho * rho * share));
      slope = tf.add(slope, tf.mul(tf.sub(tf.sigmoid(scaled), teacher.probabilities), soft * rho * share));
    }
  }
  const weighted = targets.weights ? tf.mul(rows, targets.weights) : rows;
  const counted = targets.weights ? tf.mul(slope, tf.expandDims(targets.weights, 1)) : slope;
  return {
    value: tf.div(tf.sum(weighted), normalizer) as tf.Scalar,
    slope: tf.div(counted, normalizer) as tf.Tensor2D,
  };
}
