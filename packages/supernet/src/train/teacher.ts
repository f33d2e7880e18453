// Fixed teachers: one model, or the mean of several, each of which may look at the batch its own way.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import type { AttentionFunction, ElasticModel, ModelInputs } from '../model/types.ts';
import { flatten, teacherDistribution } from './losses.ts';
import type { Targets, TeacherDistribution } from './losses.ts';
import { deriveSeed } from './random.ts';

/**
 * How a teacher looks at a batch: other tensors of the same examples, in the same order. Runs inside `tf.tidy`; what it
 * returns may be the inputs themselves. Equal seeds must give equal views, or a resumed run is not the same run.
 */
export type InputView = (inputs: ModelInputs, seed: number) => ModelInputs;

/** One voice of an ensemble. */
export interface TeacherMember {
  readonly model: ElasticModel;
  /** @defaultValue the batch as the student sees it */
  readonly view?: InputView;
}

/**
 * Whom a student learns from: a fine-tuned model, or an ensemble, whose distribution is the mean of its members' softmax(z / ρ)
 * (Hinton 2015, §3). Members may be of any family and size with the student's classes. A member whose view is random
 * stands for all of its views: KL's gradient is linear in the teacher's distribution, so over the steps the student learns
 * from their mean.
 */
export type Teacher = ElasticModel | readonly (ElasticModel | TeacherMember)[];

/** What {@link askTeacher} is told beside the inputs. */
export interface TeacherContext {
  readonly targets: Targets;
  readonly temperature: number;
  /** Of the views. */
  readonly seed: number;
  readonly attention?: AttentionFunction;
}

/** Members of a teacher. @throws SupernetError `invalid-option` for an empty ensemble */
export function membersOf(teacher: Teacher): readonly TeacherMember[] {
  const list = Array.isArray(teacher)
    ? (teacher as readonly (ElasticModel | TeacherMember)[])
    : [teacher as ElasticModel];
  if (list.length === 0) {
    throw new SupernetError('invalid-option', 'teacher = []: an ensemble needs one model at least');
  }
  return list.map((member) => ('forward' in member ? { model: member } : member));
}

/**
 * A teacher's distribution of a batch at temperature ρ. The caller disposes.
 *
 * @throws SupernetError `invalid-data` when its rows do not fit the labels, `invalid-option` when members have other classes
 */
export function askTeacher(teacher: Teacher, inputs: ModelInputs, context: TeacherContext): TeacherDistribution {
  const { targets, temperature, seed, attention } = context;
  const members = membersOf(teacher);
  const ask = ({ model, view }: TeacherMember, index: number): tf.Tensor2D => {
    const seen = view ? view(inputs, deriveSeed(seed, index)) : inputs;
    return flatten(model.forward(seen, attention ? { attention } : {}).logits, targets);
  };
  if (members.length === 1) {
    const logits = tf.tidy(() => ask(members[0] as TeacherMember, 0));
    const distribution = teacherDistribution(logits, temperature);
    logits.dispose();
    return distribution;
  }
  const mean = tf.tidy(() => {
    let sum: tf.Tensor2D | undefined;
    for (const [index, member] of members.entries()) {
      const before: tf.Tensor2D | undefined = sum;
      sum = tf.tidy(() => {
        const logits = ask(member, index);
        const own = tf.softmax(temperature === 1 ? logits : tf.div(logits, temperature)) as tf.Tensor2D;
        if (before && own.shape[1] !== before.shape[1]) throw otherClasses(index, own.shape[1], before.shape[1]);
        return before ? tf.add(before, own) : own;
      });
      before?.dispose();
    }
    const probabilities = tf.div(sum as tf.Tensor2D, members.length) as tf.Tensor2D;
    // p·log p is 0 at p = 0.
    const logarithms = tf.log(tf.maximum(probabilities, LEAST_PROBABILITY));
    return { probabilities, negativeEntropy: tf.sum(tf.mul(probabilities, logarithms), 1) as tf.Tensor1D };
  });
  return { ...mean, temperature };
}

function otherClasses(member: number, classes: number, expected: number): SupernetError {
  return new SupernetError(
    'invalid-option',
    `member ${member} of the teacher has ${classes} classes, those before it ${expected}: an ensemble shares its classes`,
    { member, classes, expected },
  );
}

/** A normal float32, so that its logarithm is finite on every backend. */
const LEAST_PROBABILITY = 1e-37;
