// One optimisation step: every pass of the plan over every micro-batch, gradients summed, clipped, applied.
import * as tf from '@tensorflow/tfjs';
import { disposeInputs, inputTensors, labelCountOf } from '../data/dataset.ts';
import type { HostBatch } from '../data/dataset.ts';
import { SupernetError } from '../errors.ts';
import type { DropoutRates } from '../model/dropout.ts';
import { checkBatchIds } from '../model/input-checks.ts';
import type { AttentionFunction, ElasticModel, ModelInputs } from '../model/types.ts';
import { variableGradients } from '../model/variable-gradients.ts';
import type { AdamW } from './adamw.ts';
import { startRepeatedWork } from '../webgpu/dispatch-cache.ts';
import { withHalfProducts } from '../webgpu/half-products.ts';
import { askHiddenStates, disposeHiddenTargets, hiddenStateLoss } from './hidden-states.ts';
import type { HiddenTargets } from './hidden-states.ts';
import { accumulate, clipFactor, disposeGradients, globalNorm } from './gradients.ts';
import type { GradientSet } from './gradients.ts';
import { blendedLabels, disposeTargets, disposeTeacher, objectiveLoss, teacherDistribution } from './losses.ts';
import type { Targets, TeacherDistribution } from './losses.ts';
import { batchTargets, outputRows } from './outputs.ts';
import type { PassPlan } from './strategy.ts';
import { askTeacher, membersOf } from './teacher.ts';
import type { Teacher } from './teacher.ts';
import { TeacherCache } from './teacher-cache.ts';

/** What a step needs beside the batches. */
export interface StepContext {
  readonly model: ElasticModel;
  readonly teacher?: Teacher | TeacherCache;
  readonly optimizer: AdamW;
  readonly temperature: number;
  /** Factor on the difference of hidden states to the teacher's. @defaultValue 0 */
  readonly hiddenStates?: number;
  /** Of sentence encoders: factor on the KL of similarities. @defaultValue 1 */
  readonly similarities?: number;
  /** Limit of the global gradient norm; Infinity = off. */
  readonly clipNorm: number;
  readonly attention?: AttentionFunction;
  readonly dropout: number | DropoutRates;
  /** Whether products are of mixed precision. @defaultValue false */
  readonly mixed?: boolean;
}

/** Device scalars of a finished step; the caller disposes. */
export interface StepOutput {
  /** Objective value of each pass, in the plan's order, summed over micro-batches. */
  readonly losses: readonly tf.Scalar[];
  /** Global gradient norm before clipping. */
  readonly norm: tf.Scalar;
}

/**
 * Runs one step. Losses are means over all labelled rows of all micro-batches together, so that accumulation over micro-batches of
 * different sizes equals one large batch.
 */
export function trainStep(
  context: StepContext,
  batches: readonly HostBatch[],
  plan: readonly PassPlan[],
  learningRate: number,
  seed: number,
): StepOutput {
  const run = () => runStep(context, batches, plan, learningRate, seed);
  return context.mixed ? withHalfProducts(run) : run();
}

/**
 * What a loss is multiplied by before its gradients are taken, a power of two: 16 for each row that the mean is over, so that the
 * gradients of logits lie between float16's smallest number and 16, a thousand times below its largest.
 */
function lossScale({ mixed }: StepContext, rows: number): number {
  return mixed ? 2 ** Math.round(Math.log2(16 * rows)) : 1;
}

function runStep(
  context: StepContext,
  batches: readonly HostBatch[],
  plan: readonly PassPlan[],
  learningRate: number,
  seed: number,
): StepOutput {
  const normalizer = batches.reduce((sum, batch) => sum + labelCountOf(batch), 0);
  if (normalizer === 0) throw new SupernetError('invalid-data', 'no row of this step has a label');
  const total: GradientSet = new Map();
  const losses: (tf.Scalar | undefined)[] = plan.map(() => undefined);
  for (const [index, batch] of batches.entries()) {
    const micro = new MicroBatch(context, batch, normalizer, seed + index);
    let isDone = false;
    try {
      for (const [position, pass] of plan.entries()) {
        // A sub-network of other widths than the last step's leaves other buffers free: each pass starts in the same order.
        startRepeatedWork();
        const { value, gradients } = micro.run(pass);
        accumulate(total, gradients);
        const sum = losses[position];
        losses[position] = sum ? tf.add(sum, value) : value;
        if (sum) tf.dispose([sum, value]);
      }
      isDone = true;
    } finally {
      micro.dispose(isDone);
    }
  }
  startRepeatedWork();
  const scaled = globalNorm(total);
  const unit = 1 / lossScale(context, normalizer);
  const norm = unit === 1 ? scaled : tf.tidy(() => tf.mul<tf.Scalar>(scaled, unit));
  const clip = Number.isFinite(context.clipNorm) ? clipFactor(norm, context.clipNorm) : undefined;
  const scale = unit === 1 ? clip : tf.tidy(() => (clip ? tf.mul<tf.Scalar>(clip, unit) : tf.scalar(unit)));
  context.optimizer.apply(total, learningRate, scale);
  for (const scalar of new Set([scaled, clip, scale])) if (scalar !== norm) scalar?.dispose();
  disposeGradients(total);
  return { losses: losses as tf.Scalar[], norm };
}

/** Tensors of one micro-batch, and the soft targets computed on it so far. */
class MicroBatch {
  readonly #context: StepContext;
  readonly #batch: HostBatch;
  readonly #inputs: ModelInputs;
  readonly #targets: Targets;
  readonly #normalizer: number;
  readonly #seed: number;
  readonly #variables: tf.Variable[];
  readonly #slotByVariable: ReadonlyMap<string, string>;
  #self: TeacherDistribution | undefined;
  #teacher: TeacherDistribution | undefined;
  /** Labels of blended rows. */
  #blended: TeacherDistribution | undefined;
  /** The teacher's states after every layer. */
  #states: HiddenTargets | undefined;

  constructor(context: StepContext, batch: HostBatch, normalizer: number, seed: number) {
    const readers = [context.model, ...(context.teacher ? membersOf(context.teacher) : [])];
    for (const { config } of readers) checkBatchIds(config, batch);
    this.#context = context;
    this.#batch = batch;
    this.#inputs = inputTensors(batch);
    this.#targets = batchTargets(context.model.config, batch);
    this.#normalizer = normalizer;
    this.#seed = seed;
    this.#variables = [...context.model.weights.values()];
    this.#slotByVariable = new Map([...context.model.weights].map(([slot, variable]) => [variable.name, slot]));
  }

  run(pass: PassPlan): { value: tf.Scalar; gradients: GradientSet } {
    const { model, attention, dropout, temperature } = this.#context;
    const teacher = pass.soft > 0 ? this.#softTargets(pass) : undefined;
    const states = teacher && pass.source === 'teacher' ? this.#hiddenTargets() : undefined;
    let logits: tf.Tensor2D | undefined;
    let loss: tf.Scalar | undefined;
    const scale = lossScale(this.#context, this.#normalizer);
    // Backward of its own per pass: the activations of two networks are never held together.
    const { value, grads } = variableGradients(() => {
      const output = model.forward(this.#inputs, {
        training: true,
        dropout,
        seed: this.#seed,
        ...(states && { hiddenStates: true }),
        ...(pass.subnet && { subnet: pass.subnet }),
        ...(attention && { attention }),
      });
      const rows = outputRows(model.config, output.logits, this.#targets);
      if (pass.teaches) logits = tf.keep(rows);
      const own = this.#withStates(this.#loss(rows, pass, teacher), pass, output.hiddenStates, states);
      if (scale === 1) return own;
      loss = tf.keep(own);
      return tf.mul(own, scale) as tf.Scalar;
    }, this.#variables);
    if (logits) {
      this.#self = teacherDistribution(logits, temperature, this.#targets.kind);
      logits.dispose();
    }
    const gradients: GradientSet = new Map();
    for (const [name, gradient] of Object.entries(grads)) {
      if (gradient) gradients.set(this.#slotByVariable.get(name) as string, gradient);
    }
    if (!loss) return { value, gradients };
    value.dispose();
    return { value: loss, gradients };
  }

  #withStates(
    loss: tf.Scalar,
    { soft }: PassPlan,
    own: readonly tf.Tensor3D[] | undefined,
    theirs: HiddenTargets | undefined,
  ): tf.Scalar {
    if (!own || !theirs) return loss;
    const factor = (soft * (this.#context.hiddenStates ?? 0) * labelCountOf(this.#batch)) / this.#normalizer;
    return tf.add(loss, tf.mul(hiddenStateLoss(own, theirs), factor));
  }

  #said({ logits }: HiddenTargets): TeacherDistribution {
    const { teacher, temperature } = this.#context;
    const { config } = membersOf(teacher as Teacher | TeacherCache)[0] as ElasticModel;
    const rows = tf.tidy(() => tf.clone(outputRows(config, logits, this.#targets)));
    const distribution = teacherDistribution(rows, temperature, this.#targets.kind);
    rows.dispose();
    return distribution;
  }

  #hiddenTargets(): HiddenTargets | undefined {
    const { hiddenStates = 0, teacher, attention } = this.#context;
    if (hiddenStates === 0 || !teacher) return undefined;
    return (this.#states ??= askHiddenStates(membersOf(teacher)[0] as ElasticModel, this.#inputs, attention));
  }

  #loss(rows: tf.Tensor2D, { hard, soft }: PassPlan, teacher: TeacherDistribution | undefined): tf.Scalar {
    const normalizer = this.#normalizer;
    const { mixed, labels } = this.#batch;
    const { similarities = 1 } = this.#context;
    const distil = teacher && { teacher };
    if (teacher && teacher.probabilities.shape[1] !== rows.shape[1]) {
      const [theirs, own] = [teacher.probabilities.shape[1], rows.shape[1]];
      throw new SupernetError(
        'invalid-option',
        `the teacher has ${theirs} classes, the student ${own}: a teacher has the student's classes`,
        { teacher: theirs, student: own },
      );
    }
    if (!mixed) return objectiveLoss(rows, this.#targets, { hard, soft, normalizer, similarities, ...distil });
    this.#blended ??= keepDistribution(blendedLabels(labels, mixed, rows.shape[1]));
    const loss = objectiveLoss(rows, this.#targets, { hard: 0, soft: hard, normalizer, teacher: this.#blended });
    if (!teacher) return loss;
    return tf.add(loss, objectiveLoss(rows, this.#targets, { hard: 0, soft, normalizer, teacher }));
  }

  /** @param isDone whether the passes went well: after a failure that comes first, those of a wrecked backend say nothing */
  dispose(isDone: boolean): void {
    try {
      disposeInputs(this.#inputs);
      disposeTargets(this.#targets);
      if (this.#self) disposeTeacher(this.#self);
      if (this.#teacher) disposeTeacher(this.#teacher);
      if (this.#blended) disposeTeacher(this.#blended);
      if (this.#states) disposeHiddenTargets(this.#states);
    } catch (error) {
      if (isDone) throw error;
    }
  }

  #softTargets(pass: PassPlan): TeacherDistribution {
    if (pass.source === 'self') {
      if (!this.#self) throw new SupernetError('internal', 'a pass distils from S before S has run');
      return this.#self;
    }
    const { teacher, attention, temperature } = this.#context;
    if (!teacher)
      throw new SupernetError('invalid-option', 'this objective distils from a teacher: give options.teacher');
    const how = { temperature, ...(attention && { attention }) };
    const states = membersOf(teacher).length === 1 ? this.#hiddenTargets() : undefined;
    // One pass of it gives both, for less than its kept answers and a pass for its states.
    if (states) this.#teacher ??= this.#said(states);
    this.#teacher ??=
      teacher instanceof TeacherCache
        ? teacher.ask(this.#batch, this.#inputs, how)
        : askTeacher(teacher, this.#inputs, { targets: this.#targets, ...how });
    return this.#teacher;
  }
}

/** Outlives the tidy scope it is made in. */
function keepDistribution(distribution: TeacherDistribution): TeacherDistribution {
  tf.keep(distribution.probabilities);
  tf.keep(distribution.negativeEntropy);
  return distribution;
}
