// Fixed teachers: one model, or the mean of several.
import * as tf from '@tensorflow/tfjs';
import { readWeights } from '../../adapters/trained.ts';
import { SupernetError } from '../../errors.ts';
import type { AttentionFunction, ElasticModel, ModelInputs } from '../../model/types.ts';
import { bernoulliEntropy, LEAST_PROBABILITY, teacherDistribution } from '../losses/distributions.ts';
import type { OutputKind, Targets } from '../losses/targets.ts';
import type { TeacherDistribution } from '../losses/distributions.ts';
import { outputRows } from '../losses/outputs.ts';
import { played } from '../../webgpu/played.ts';
import type { NamedTensors } from '../../webgpu/recording-backend.ts';

/**
 * Whom a student learns from: a fine-tuned model, or an ensemble of such, whose distribution is the mean of its members'
 * softmax(z / ρ) (Hinton 2015, §3); of classes by themselves the mean of σ(z / ρ), of values their mean. Members may be of any family and size with the student's classes: models that were
 * trained apart are wrong apart, and their mean is right more often than either.
 */
export type Teacher = ElasticModel | readonly ElasticModel[];

/** What {@link askTeacher} is told beside the inputs. */
export interface TeacherContext {
  /** Of the batch: one row for each of the teacher's rows of logits. */
  readonly targets: Targets;
  /** ρ. @defaultValue 1 */
  readonly temperature?: number;
  /** @defaultValue dense attention in tfjs */
  readonly attention?: AttentionFunction;
}

/** Models of a teacher, or of what keeps its answers. @throws SupernetError `invalid-option` for an empty ensemble */
export function membersOf(teacher: Teacher | { readonly members: readonly ElasticModel[] }): readonly ElasticModel[] {
  if ('members' in teacher) return teacher.members;
  const members = 'forward' in teacher ? [teacher] : teacher;
  if (members.length > 0) return members;
  throw new SupernetError('invalid-option', 'teacher = []: an ensemble needs one model at least');
}

/**
 * A teacher's distribution of a batch: probabilities [N, V] and Σ p·log p [N], in nats. The caller disposes
 * (`disposeTeacher`).
 *
 * @throws SupernetError `invalid-data` when its rows do not fit the labels, `invalid-option` for no members or such of
 * unlike classes
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { askTeacher, createTargets, disposeTeacher, loadCheckpoint } from '@instatune/supernet';
 *
 * await tf.setBackend('cpu');
 * const { model } = await loadCheckpoint('./books-lm-6m');
 * const targets = createTargets(Int32Array.of(5, 7, 9));
 * const says = askTeacher([model, model], { inputIds: tf.tensor2d([[1, 5, 7]], [1, 3], 'int32') }, { targets });
 * console.log(says.probabilities.shape[0], says.negativeEntropy.shape.join()); // => 3 3
 * disposeTeacher(says);
 * ```
 */
export function askTeacher(teacher: Teacher, inputs: ModelInputs, context: TeacherContext): TeacherDistribution {
  const { targets, temperature = 1, attention } = context;
  const weights = membersOf(teacher).flatMap(readWeights);
  const key = ['teacher', temperature, targets.kind];
  const work = (own: NamedTensors) => {
    const { probabilities, negativeEntropy } = ask(teacher, own as unknown as ModelInputs, context);
    return { probabilities, negativeEntropy };
  };
  const said = attention
    ? work({ ...inputs } as NamedTensors)
    : played(key, { ...inputs } as NamedTensors, weights, work);
  return { ...said, temperature } as unknown as TeacherDistribution;
}

/** Asks anew. */
function ask(teacher: Teacher, inputs: ModelInputs, context: TeacherContext): TeacherDistribution {
  const { targets, temperature = 1, attention } = context;
  const logitsOf = (model: ElasticModel) =>
    outputRows(model.config, model.forward(inputs, attention ? { attention } : {}).logits, targets);
  const { kind = 'softmax' } = targets;
  const members = membersOf(teacher);
  if (members.length === 1) {
    const logits = tf.tidy(() => logitsOf(members[0] as ElasticModel));
    const distribution = teacherDistribution(logits, temperature, kind);
    logits.dispose();
    return distribution;
  }
  const mean = tf.tidy(() => {
    let sum: tf.Tensor2D | undefined;
    for (const [index, member] of members.entries()) {
      const before: tf.Tensor2D | undefined = sum;
      sum = tf.tidy(() => {
        const logits = logitsOf(member);
        const scaled = temperature === 1 ? logits : (tf.div(logits, temperature) as tf.Tensor2D);
        const own = {
          softmax: () => tf.softmax(scaled),
          sigmoid: () => tf.sigmoid(scaled),
          squared: () => logits,
          embedding: () => logits,
        }[kind]();
        if (before && own.shape[1] !== before.shape[1]) throw otherClasses(index, own.shape[1], before.shape[1]);
        return before ? tf.add(before, own) : own;
      });
      before?.dispose();
    }
    const probabilities = tf.div(sum as tf.Tensor2D, members.length) as tf.Tensor2D;
    return { probabilities, negativeEntropy: negativeEntropyOf(probabilities, kind) };
  });
  return { ...mean, temperature };
}

/** Σ p·log p per row [N] of probabilities [N, V], by what they are of. */
export function negativeEntropyOf(probabilities: tf.Tensor2D, kind: OutputKind = 'softmax'): tf.Tensor1D {
  if (kind === 'squared' || kind === 'embedding') return tf.zeros([probabilities.shape[0]]);
  if (kind === 'sigmoid') return bernoulliEntropy(probabilities);
  // p·log p is 0 at p = 0.
  return tf.tidy(
    () => tf.sum(tf.mul(probabilities, tf.log(tf.maximum(probabilities, LEAST_PROBABILITY))), 1) as tf.Tensor1D,
  );
}

function otherClasses(member: number, classes: number, expected: number): SupernetError {
  return new SupernetError(
    'invalid-option',
    `member ${member} of the teacher has ${classes} classes, those before it ${expected}: an ensemble shares its classes`,
    { member, classes, expected },
  );
}
