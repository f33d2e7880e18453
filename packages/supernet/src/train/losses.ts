// Cross-entropy (and its like for outputs that are no single class) and distillation on logits [N, V]: value and gradient in as few passes over [N, V] as tfjs allows.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import { customGradient } from '../model/custom-gradient.ts';
import { negativeEntropy as entropyOnGpu, objective } from '../webgpu/loss.ts';
import { onWebGpu } from '../webgpu/program.ts';

/**
 * How outputs z are compared with targets y: `softmax`, one class is right; `sigmoid`, any number of them (−y·log σ(z) − (1−y)·log(1−σ(z)));
 * `squared`, values ((z − y)²); `embedding`, vectors without targets, which only learn from a teacher's t: 1 − cos(z, t), plus the KL of
 * softmax over the cosines of the batch's other vectors / 0.05 (Hinton 2015's distillation, of similarities).
 */
export type OutputKind = 'softmax' | 'sigmoid' | 'squared' | 'embedding';

/** A normal float32, so that its logarithm is finite on every backend. */
export const LEAST_PROBABILITY = 1e-37;

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

/** log Σ exp(z) per row [N], stable: max(z) − log(max(softmax(z))) needs no second exponential. */
function logSumExp(logits: tf.Tensor2D, probabilities: tf.Tensor2D): tf.Tensor1D {
  return tf.sub(tf.max(logits, 1), tf.log(tf.max(probabilities, 1)));
}

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

function noClass(label: number, classes: number): SupernetError {
  return new SupernetError('invalid-data', `label ${label} of ${classes} classes: labels are 0…${classes - 1}`, {
    label,
    classes,
  });
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

/** Cosines of a batch are divided by this before their softmax. */
const SIMILARITY_TEMPERATURE = 0.05;

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

function embeddingLoss(
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
