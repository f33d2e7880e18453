// A training as long as its time allows, on the schedule of the steps that fit.
import * as tf from '@tensorflow/tfjs';
import { SupernetError, type ElasticModel } from '@instatune/supernet';

/** Steps whose pace says whether a training fits its time: the ones before make shaders and buffers. */
const PACE = { from: 24, to: 88 } as const;
/** Steps are told in groups of so many. */
const GROUP = 8;
/** A step takes so many times the median of its groups, which has none of those that make shaders or recordings for a length that is new. */
const MEDIAN = 1.2;
/** How much longer than its time a training may look before it begins anew with fewer steps. */
const SLACK = 1.05;
/** Steps, at least. */
const FEWEST = 40;

/** Runs so many steps and says which is done; `stop` ends it earlier, which is no error ({@link endedBy}). */
export type Training<T> = (steps: number, stop: AbortSignal, onStep: (step: number) => void) => Promise<T>;

/** What {@link trainWithin} is told. */
export interface WithinOptions {
  readonly model: ElasticModel;
  /** Steps where there is time. */
  readonly most: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** It begins anew with so many steps. */
  readonly onFewer?: (steps: number) => void;
}

/**
 * Trains for so many seconds at most: with fewer steps from the beginning, from the weights as they were, where the pace of its first steps says
 * so, and stopped where that was wrong.
 */
export async function trainWithin<T>(
  { model, most, seconds, signal, onFewer }: WithinOptions,
  train: Training<T>,
): Promise<T> {
  if (seconds === Number.POSITIVE_INFINITY) return train(most, signal, () => undefined);
  const start = performance.now();
  const end = start + 1000 * seconds;
  const before = new Map([...model.weights].map(([name, weight]) => [name, tf.tidy(() => tf.mul(weight, 1))]));
  let fits: number | undefined;
  const attempt = (steps: number, isTried: boolean): Promise<T> => {
    const over = new AbortController();
    let last = start;
    const paces: number[] = [];
    return train(steps, AbortSignal.any([signal, over.signal]), (step) => {
      const now = performance.now();
      if (now > end) over.abort();
      if (step % GROUP === 0) {
        if (step > PACE.from && step <= PACE.to) paces.push((now - last) / GROUP);
        last = now;
      }
      if (!isTried || steps <= 2 * PACE.to || step !== PACE.to) return;
      const each = MEDIAN * (paces.toSorted((a, b) => a - b)[paces.length >> 1] as number);
      if (now + (steps - PACE.to) * each <= start + SLACK * (end - start)) return;
      fits = Math.floor((end - now) / each);
      over.abort();
    });
  };
  try {
    const whole = await attempt(most, true);
    if (fits === undefined) return whole;
    const fewer = Math.max(FEWEST, Math.min(most, fits));
    onFewer?.(fewer);
    for (const [name, weight] of model.weights) tf.tidy(() => weight.assign(tf.mul(before.get(name)!, 1)));
    return await attempt(fewer, false);
  } finally {
    tf.dispose([...before.values()]);
  }
}

/** Takes the error of a training that was stopped for its time, and throws every other. */
export function endedBy(signal: AbortSignal): (error: unknown) => undefined {
  return (error) => {
    if (signal.aborted || !(error instanceof SupernetError && error.code === 'aborted')) throw error;
    return undefined;
  };
}
