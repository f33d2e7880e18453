// Steps that are dispatched but not read yet, and their numbers.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../../errors.ts';
import type { StepOutput } from '../step/step.ts';

/** Steps whose numbers a GPU may still owe: reading them one by one would make it wait for the host after every step. */
export const STEPS_IN_FLIGHT = 8;

/** A step whose numbers are still on the device. */
export interface Dispatched {
  readonly output: StepOutput;
  /** What the device says where it had no memory for the step. */
  readonly exhausted: Promise<string | undefined>;
  readonly step: number;
  readonly epoch: number;
  readonly tokens: number;
  readonly learningRate: number;
}

/** Gradient norm and losses of each step, in one read; frees them. */
export async function readNumbers(steps: readonly Dispatched[]): Promise<number[][]> {
  if (steps.length === 0) return [];
  const scalars = steps.map(({ output }) => [output.norm, ...output.losses]);
  const packed = tf.tidy(() => tf.concat(scalars.flat().map((scalar) => tf.reshape(scalar, [1]))));
  disposeNumbers(steps);
  const values = [...(await packed.data())];
  packed.dispose();
  return scalars.map((group) => values.splice(0, group.length));
}

/** Frees the numbers of steps that will not be read. */
export function disposeNumbers(steps: readonly Dispatched[]): void {
  for (const { output } of steps) tf.dispose([output.norm, ...output.losses]);
}

/** @param bytes that recorded passes hold */
export function outOfGpuMemory(step: number, message: string, bytes = 0): SupernetError {
  const held = bytes > 0 ? `, or recording: false (recorded passes hold ${bytes} bytes)` : '';
  return new SupernetError(
    'out-of-memory',
    `step ${step}: the GPU has no memory left: give a smaller batchSize and accumulate${held}`,
    { step, message, bytes },
  );
}
