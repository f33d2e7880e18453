// The weights of a model as tfjs variables.
import * as tf from '@tensorflow/tfjs';
import type { WeightSlot } from '@hip/checkpoints';
import { elementCount } from '../counts.ts';
import { SupernetError } from '../errors.ts';

/** A trainable variable for each slot, by name. @throws SupernetError `missing-weight` (none of its name, or another number of values) */
export function variablesOf(
  slots: readonly WeightSlot[],
  values: ReadonlyMap<string, Float32Array>,
): Map<string, tf.Variable> {
  const weights = new Map<string, tf.Variable>();
  for (const slot of slots) {
    const data = values.get(slot.name);
    const size = elementCount(slot.shape);
    if (data?.length !== size) {
      throw new SupernetError('missing-weight', `${slot.name} needs ${size} values, got ${data?.length ?? 'none'}`, {
        slot: slot.name,
      });
    }
    const initial = tf.tensor(data, [...slot.shape], 'float32');
    weights.set(slot.name, tf.variable(initial, true));
    initial.dispose();
  }
  return weights;
}
