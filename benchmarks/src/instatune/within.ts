// A training as long as its time allows, on the schedule of the steps that fit.
import * as tf from '@tensorflow/tfjs';
import { SupernetError, type ElasticModel } from '@instatune/supernet';

/** Steps that tell the pace; the first of them make shaders and buffers. */
const FIRST = 16;
const PACED = 48;
/** What a pace is not trusted with: others come onto the same GPU. */
const MARGIN = 0.85;

/**
 * Runs `train` for `most` steps, or for as many as fit the seconds by the pace of some whose weights are put back; stops it when the
 * time is over.
 *
 * @returns the steps planned, fewer where it was stopped
 */
export async function trainWithin(
  model: ElasticModel,
  most: number,
  seconds: number,
  train: (steps: number, stop: AbortSignal, onStep: (step: number) => void) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  if (seconds === Number.POSITIVE_INFINITY || most <= PACED) {
    await train(most, signal, () => undefined);
    return most;
  }
  const start = performance.now();
  const left = () => seconds - (performance.now() - start) / 1000;
  const before = new Map([...model.weights].map(([name, weight]) => [name, weight.clone()]));
  let mark = start;
  await train(PACED, signal, (step) => {
    if (step === FIRST) mark = performance.now();
  });
  const pace = (performance.now() - mark) / 1000 / (PACED - FIRST);
  for (const [name, weight] of model.weights) weight.assign(before.get(name)!);
  tf.dispose([...before.values()]);
  const steps = Math.max(1, Math.min(most, Math.floor((left() * MARGIN) / pace)));
  let done = 0;
  const stop = AbortSignal.any([signal, AbortSignal.timeout(Math.max(1, Math.round(left() * 1000)))]);
  try {
    await train(steps, stop, (step) => {
      done = step;
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof SupernetError && error.code === 'aborted')) throw error;
  }
  return done;
}
