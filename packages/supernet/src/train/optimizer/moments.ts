// The moments that AdamW keeps of each weight: a pair of variables, or on WebGPU those of several weights in one.
import * as tf from '@tensorflow/tfjs';
import type { WeightSlot } from '@hip/checkpoints';
import { elementCount } from '../../counts.ts';
import { WEIGHTS_TOGETHER } from '../../webgpu/adamw.ts';

/** State of one weight, as arrays. */
export interface MomentArrays {
  readonly first: Float32Array;
  readonly second: Float32Array;
  readonly steps: number;
}

/** Of one weight. */
export interface Moments {
  readonly first: tf.Variable;
  readonly second: tf.Variable;
  steps: number;
}

/** On WebGPU: weights that are updated together, and both moments of them all in one [2, ΣP]. */
export interface MomentPack {
  readonly slots: readonly WeightSlot[];
  readonly moments: tf.Variable;
  readonly steps: number[];
}

/** Weights in groups that one dispatch updates; moments and steps that are not in `state` are zero. */
export function packsOf(slots: readonly WeightSlot[], state: ReadonlyMap<string, MomentArrays>): MomentPack[] {
  const packs: MomentPack[] = [];
  for (let start = 0; start < slots.length; start += WEIGHTS_TOGETHER) {
    const some = slots.slice(start, start + WEIGHTS_TOGETHER);
    const total = some.reduce((sum, slot) => sum + elementCount(slot.shape), 0);
    const data = new Float32Array(2 * total);
    let at = 0;
    for (const slot of some) {
      const held = state.get(slot.name);
      if (held) {
        data.set(held.first, at);
        data.set(held.second, total + at);
      }
      at += elementCount(slot.shape);
    }
    const steps = some.map(({ name }) => state.get(name)?.steps ?? 0);
    packs.push({ slots: some, moments: variableOf(data, [2, total]), steps });
  }
  return packs;
}

export function variableOf(data: Float32Array, shape: readonly number[]): tf.Variable {
  // The array is copied: tf.tensor on the CPU backend would share it.
  const initial = tf.tensor(data.slice(), [...shape], 'float32');
  const variable = tf.variable(initial, false);
  initial.dispose();
  return variable;
}
