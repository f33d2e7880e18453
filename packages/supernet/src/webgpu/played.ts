// The recorder in charge of work that runs now.
import * as tf from '@tensorflow/tfjs';
import type { Recorder } from './recorder.ts';
import type { NamedTensors, Work } from './recording-backend.ts';

let current: Recorder | undefined;

/** Runs synchronous work whose {@link played} parts a recorder plays. */
export function withRecorder<T>(recorder: Recorder | undefined, run: () => T): T {
  const before = current;
  current = recorder;
  try {
    return run();
  } finally {
    current = before;
  }
}

/** {@link Recorder.run} of the recorder in charge, by the inputs' shapes too; the work itself where there is none. */
export function played(
  key: readonly unknown[],
  inputs: NamedTensors,
  weights: readonly tf.Variable[],
  work: Work,
): Record<string, tf.Tensor> {
  if (!current) return work(inputs);
  const shapes = Object.entries(inputs).map(([name, { shape }]) => `${name}:${shape.join()}`);
  return current.run(JSON.stringify([...key, shapes]), inputs, weights, work);
}
