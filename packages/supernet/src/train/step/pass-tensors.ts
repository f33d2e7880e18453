// The tensors that a pass reads, by name: what a recording of it is given anew each time.
import type * as tf from '@tensorflow/tfjs';
import type { ModelInputs } from '../../model/types.ts';
import type { NamedTensors } from '../../webgpu/recording-backend.ts';
import type { HiddenTargets } from '../losses/hidden-states.ts';
import type { Targets } from '../losses/targets.ts';
import type { TeacherDistribution } from '../losses/distributions.ts';

/** What the passes of one micro-batch read. */
export interface PassTensors {
  readonly inputs: ModelInputs;
  readonly targets: Targets;
  readonly teacher?: TeacherDistribution;
  readonly states?: Pick<HiddenTargets, 'states' | 'shares'>;
  readonly blended?: TeacherDistribution;
  /** On WebGPU: seed of drop-out, int32 [1]. */
  readonly seed?: tf.Tensor1D;
}

/** Tensors by name. */
export function namesOf({ inputs, targets, teacher, states, blended, seed }: PassTensors): NamedTensors {
  const named: Record<string, tf.Tensor | undefined> = {
    ...inputs,
    indices: targets.indices,
    weights: targets.weights,
    values: targets.values,
    taught: teacher?.probabilities,
    taughtEntropy: teacher?.negativeEntropy,
    shares: states?.shares,
    ...Object.fromEntries(states?.states.map((state, layer) => [`state ${layer}`, state]) ?? []),
    blended: blended?.probabilities,
    blendedEntropy: blended?.negativeEntropy,
    seed,
  };
  return Object.fromEntries(
    Object.entries(named).filter((entry): entry is [string, tf.Tensor] => entry[1] !== undefined),
  );
}

/** The same with other tensors, by name. */
export function inPlaceOf(
  { inputs, targets, teacher, states, blended, seed }: PassTensors,
  own: NamedTensors,
): PassTensors {
  const like = <T extends tf.Tensor>(name: string): T => own[name] as T;
  return {
    inputs: Object.fromEntries(Object.keys(inputs).map((name) => [name, own[name]])) as unknown as ModelInputs,
    targets: {
      ...targets,
      indices: like('indices'),
      ...(targets.weights && { weights: like('weights') }),
      ...(targets.values && { values: like('values') }),
    },
    ...(teacher && {
      teacher: {
        ...teacher,
        probabilities: like('taught'),
        negativeEntropy: like('taughtEntropy'),
      },
    }),
    ...(states && {
      states: {
        shares: like('shares'),
        states: states.states.map((_, layer) => like(`state ${layer}`)),
      },
    }),
    ...(blended && {
      blended: {
        ...blended,
        probabilities: like('blended'),
        negativeEntropy: like('blendedEntropy'),
      },
    }),
    ...(seed && { seed: like('seed') }),
  };
}
