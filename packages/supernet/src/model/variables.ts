// The weights of a model as tfjs variables: its own, made of arrays, or another model's, used where they are.
import * as tf from '@tensorflow/tfjs';
import type { WeightSlot } from '@hip/checkpoints';
import { elementCount } from '../counts.ts';
import { SupernetError } from '../errors.ts';

/** Values of a slot: an array, or a variable that stays its owner's. */
export type SlotValues = Float32Array | tf.Variable;

/** A variable of an array, copied to the device. */
export function weightVariable(data: Float32Array, shape: readonly number[]): tf.Variable {
  const initial = tf.tensor(data, [...shape], 'float32');
  const variable = tf.variable(initial, true);
  initial.dispose();
  return variable;
}

/** Variables by slot name, and those among them that are made here. @throws SupernetError `missing-weight` */
export function slotVariables(
  slots: readonly WeightSlot[],
  values: ReadonlyMap<string, SlotValues>,
): { readonly weights: Map<string, tf.Variable>; readonly own: tf.Variable[] } {
  const weights = new Map<string, tf.Variable>();
  const own: tf.Variable[] = [];
  for (const { name, shape } of slots) {
    const given = values.get(name);
    const size = elementCount(shape);
    const found = given instanceof Float32Array ? given.length : given?.size;
    if (given === undefined || found !== size) {
      throw new SupernetError('missing-weight', `${name} needs ${size} values, got ${found ?? 'none'}`, { slot: name });
    }
    const variable = given instanceof Float32Array ? weightVariable(given, shape) : given;
    if (variable !== given) own.push(variable);
    weights.set(name, variable);
  }
  return { weights, own };
}
