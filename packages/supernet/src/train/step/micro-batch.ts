// One micro-batch of a step: its tensors, the soft targets computed on it so far, and the passes of networks over it.
import * as tf from '@tensorflow/tfjs';
import { isTrained, readWeights, trainedWeights } from '../../adapters/trained.ts';
import { disposeInputs, inputTensors, labelCountOf } from '../../data/dataset.ts';
import type { HostBatch } from '../../data/dataset.ts';
import { SupernetError } from '../../errors.ts';
import { checkBatchIds } from '../../model/input-checks.ts';
import type { ElasticModel, ModelInputs } from '../../model/types.ts';
import { variableGradients } from '../../model/variable-gradients.ts';
import { withSeedBase } from '../../webgpu/dropout.ts';
import { copyOf } from '../../webgpu/program.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { played, withRecorder } from '../../webgpu/played.ts';
import type { Recorder } from '../../webgpu/recorder.ts';
import type { GradientSet } from '../optimizer/gradients.ts';
import { askHiddenStates, disposeHiddenTargets, hiddenStateLoss } from '../losses/hidden-states.ts';
import type { HiddenTargets } from '../losses/hidden-states.ts';
import { blendedLabels, disposeTeacher, teacherDistribution } from '../losses/distributions.ts';
import { disposeTargets } from '../losses/targets.ts';
import { objectiveLoss } from '../losses/losses.ts';
import type { Targets } from '../losses/targets.ts';
import type { TeacherDistribution } from '../losses/distributions.ts';
import { batchTargets, outputCount, outputRows } from '../losses/outputs.ts';
import { inPlaceOf, namesOf } from './pass-tensors.ts';
import type { PassTensors } from './pass-tensors.ts';
import { canRecord } from './recordable.ts';
import { lossScale } from './step-context.ts';
import type { StepContext } from './step-context.ts';
import type { PassPlan } from './strategy.ts';
import { askTeacher, membersOf } from '../teacher/teacher.ts';
import type { Teacher } from '../teacher/teacher.ts';
import { TeacherCache } from '../teacher/teacher-cache.ts';

/** Tensors of one micro-batch, and the soft targets computed on it so far. */
export class MicroBatch {
  readonly #context: StepContext;
  readonly #batch: HostBatch;
  readonly #inputs: ModelInputs;
  readonly #targets: Targets;
  readonly #normalizer: number;
  readonly #seed: number;
  /** The seed where drop-out on the GPU reads it. */
  readonly #seedTensor: tf.Tensor1D | undefined;
  readonly #variables: readonly tf.Variable[];
  /** All that a pass reads. */
  readonly #read: readonly tf.Variable[];
  readonly #slotByVariable: ReadonlyMap<string, string>;
  readonly #recorder: Recorder | undefined;
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
    if (onWebGpu() && hasDropout(context)) this.#seedTensor = tf.tensor1d([seed], 'int32');
    this.#recorder = canRecord(context, batch, this.#targets) ? context.recorder : undefined;
    const trained = trainedWeights(context.model);
    this.#variables = [...trained.values()];
    this.#read = readWeights(context.model);
    this.#slotByVariable = new Map([...trained].map(([slot, variable]) => [variable.name, slot]));
  }

  run(pass: PassPlan): { value: tf.Scalar; gradients: GradientSet } {
    return withRecorder(this.#recorder, () => this.#run(pass));
  }

  #run(pass: PassPlan): { value: tf.Scalar; gradients: GradientSet } {
    const teacher = pass.soft > 0 ? this.#softTargets(pass) : undefined;
    const states = teacher && pass.source === 'teacher' ? this.#hiddenTargets() : undefined;
    const { labels, mixed } = this.#batch;
    if (mixed)
      this.#blended ??= keepDistribution(blendedLabels(labels, mixed, outputCount(this.#context.model.config)));
    const given: PassTensors = {
      inputs: this.#inputs,
      targets: this.#targets,
      ...(teacher && { teacher }),
      ...(states && { states }),
      ...(this.#blended && { blended: this.#blended }),
      ...(this.#seedTensor && { seed: this.#seedTensor }),
    };
    const { value, logits, ...gradients } = this.#play(pass, given);
    if (logits) {
      this.#self = teacherDistribution(logits as tf.Tensor2D, this.#context.temperature, this.#targets.kind);
      logits.dispose();
    }
    return { value: value as tf.Scalar, gradients: new Map(Object.entries(gradients)) };
  }

  /** The pass, or a recording of one like it: loss, gradients by weight, and logits where it teaches. */
  #play(pass: PassPlan, given: PassTensors): Record<string, tf.Tensor> {
    const key = ['pass', pass, this.#normalizer, labelCountOf(this.#batch)];
    const outputs = played(key, namesOf(given), this.#read, (own) => this.#pass(pass, inPlaceOf(given, own)));
    if (!this.#recorder) return outputs;
    // Losses are read some steps later, when the recording has been played again.
    const loss = outputs['value'] as tf.Tensor;
    const value = copyOf(loss);
    loss.dispose();
    return { ...outputs, value };
  }

  #pass(pass: PassPlan, given: PassTensors): Record<string, tf.Tensor> {
    const { model, attention, dropout } = this.#context;
    const { inputs, targets, states, seed } = given;
    let logits: tf.Tensor2D | undefined;
    let loss: tf.Scalar | undefined;
    const scale = lossScale(this.#context, this.#normalizer);
    // Backward of its own per pass: the activations of two networks are never held together.
    const run = () => {
      const lossOf = (): tf.Scalar => {
        const output = model.forward(inputs, {
          training: true,
          dropout,
          seed: seed ? 0 : this.#seed,
          ...(states && { hiddenStates: true }),
          ...(pass.subnet && { subnet: pass.subnet }),
          ...(attention && { attention }),
        });
        const rows = outputRows(model.config, output.logits, targets);
        if (pass.teaches) logits = tf.keep(rows);
        const own = this.#withStates(this.#loss(rows, pass, given), pass, output.hiddenStates, states);
        if (scale === 1) return own;
        loss = tf.keep(own);
        return tf.mul(own, scale) as tf.Scalar;
      };
      // A sub-network without any adapter has nothing that learns.
      if (!isTrained(model, pass.subnet)) return { value: tf.tidy(lossOf), grads: {} };
      return variableGradients(lossOf, this.#variables);
    };
    const { value, grads } = withSeedBase(seed, run);
    const outputs: Record<string, tf.Tensor> = { value: loss ?? value, ...(logits && { logits }) };
    for (const [name, gradient] of Object.entries(grads)) {
      if (gradient) outputs[this.#slotByVariable.get(name) as string] = gradient;
    }
    if (loss) value.dispose();
    return outputs;
  }

  #withStates(
    loss: tf.Scalar,
    { soft }: PassPlan,
    own: readonly tf.Tensor3D[] | undefined,
    theirs: PassTensors['states'],
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
    if (this.#states) return this.#states;
    const model = membersOf(teacher)[0] as ElasticModel;
    const said = played(['states'], { ...this.#inputs }, readWeights(model), (own) => {
      const { states, ...rest } = askHiddenStates(model, own as unknown as ModelInputs, attention);
      return { ...Object.fromEntries(states.map((state, layer) => [`state ${layer}`, state])), ...rest };
    });
    const { shares, logits, ...states } = said;
    return (this.#states = { states: Object.values(states), shares, logits } as HiddenTargets);
  }

  #loss(rows: tf.Tensor2D, { hard, soft }: PassPlan, { targets, teacher, blended }: PassTensors): tf.Scalar {
    const normalizer = this.#normalizer;
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
    if (!blended) return objectiveLoss(rows, targets, { hard, soft, normalizer, similarities, ...distil });
    const loss = objectiveLoss(rows, targets, { hard: 0, soft: hard, normalizer, teacher: blended });
    if (!teacher) return loss;
    return tf.add(loss, objectiveLoss(rows, targets, { hard: 0, soft, normalizer, teacher }));
  }

  /** @param isDone whether the passes went well: after a failure that comes first, those of a wrecked backend say nothing */
  dispose(isDone: boolean): void {
    try {
      disposeInputs(this.#inputs);
      disposeTargets(this.#targets);
      this.#seedTensor?.dispose();
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

function hasDropout({ dropout }: StepContext): boolean {
  return typeof dropout === 'number' ? dropout > 0 : Object.values(dropout).some((rate) => rate > 0);
}

/** Outlives the tidy scope it is made in. */
function keepDistribution(distribution: TeacherDistribution): TeacherDistribution {
  tf.keep(distribution.probabilities);
  tf.keep(distribution.negativeEntropy);
  return distribution;
}
