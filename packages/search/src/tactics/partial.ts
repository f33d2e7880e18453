// What a part of a measurement tells of the whole: for stopping trials, and for learning from those that were stopped.
import type { Space } from '../space.ts';
import { isComplete, type CompleteTrial, type Trial } from '../study/trial.ts';

/** How whole values differ from those at a step. */
export interface Calibration {
  /** Added on average. */
  readonly shift: number;
  /** Of what is added. */
  readonly deviation: number;
}

/** From the whole trials that reported at the step; undefined where fewer than `least` did. */
export function calibrationAt(
  whole: readonly CompleteTrial[],
  name: string,
  step: number,
  least: number,
): Calibration | undefined {
  const added: number[] = [];
  for (const { intermediate, values } of whole) {
    const value = intermediate?.find((report) => report.step === step)?.values[name];
    if (value !== undefined && Number.isFinite(value)) added.push(values[name]! - value);
  }
  if (added.length < least) return undefined;
  const shift = added.reduce((sum, one) => sum + one / added.length, 0);
  const squares = added.reduce((sum, one) => sum + (one - shift) ** 2, 0);
  return { shift, deviation: Math.sqrt(squares / (added.length - 1)) };
}

/** A deviation takes two. */
const LEAST_WHOLE = 2;

/**
 * What is expected of a stopped trial by what `whole` ones became after its rung, however uncertain: that others dominate it is known. For
 * tactics that rank what was measured, to which it would otherwise be as bad as one that failed.
 *
 * @returns undefined for a trial that was not stopped, and where nothing is to go by
 */
export function expectedValues(
  space: Space,
  trial: Trial,
  whole: readonly CompleteTrial[],
): Readonly<Record<string, number>> | undefined {
  const last = trial.intermediate?.at(-1);
  if (trial.status !== 'stopped' || !last) return undefined;
  const values: Record<string, number> = { ...space.exact(trial.genes) };
  for (const { name } of space.measured) {
    const calibration = calibrationAt(whole, name, last.step, LEAST_WHOLE);
    const value = last.values[name];
    if (!calibration || value === undefined || !Number.isFinite(value)) return undefined;
    values[name] = value + calibration.shift;
  }
  return values;
}

/** Whole trials that a calibration needs before predictors learn by it. */
const LEAST = 8;

/** A part tells enough of the whole where what it leaves open varies by less than this share of what the whole trials vary by. */
const TELLING = 0.5;

/**
 * Stopped trials with what is expected of their measured objectives, for predictors to learn from: the last values reported, and what was added
 * to such in the whole trials. Left out where that is too uncertain. They are estimates: no front has them.
 */
export function expectedTrials(space: Space, trials: readonly Trial[]): readonly CompleteTrial[] {
  const stopped = trials.filter(({ status }) => status === 'stopped');
  if (stopped.length === 0) return [];
  const whole = trials.filter(isComplete);
  const known = new Map<string, Calibration | undefined>();
  const calibration = (name: string, step: number): Calibration | undefined => {
    const key = `${step} ${name}`;
    if (!known.has(key)) known.set(key, calibrationAt(whole, name, step, LEAST));
    return known.get(key);
  };
  const spreads = new Map(space.measured.map(({ name }) => [name, spreadOf(whole.map(({ values }) => values[name]!))]));
  return stopped.flatMap((trial): CompleteTrial[] => {
    const last = trial.intermediate?.at(-1);
    if (!last) return [];
    const values: Record<string, number> = { ...space.exact(trial.genes) };
    for (const { name } of space.measured) {
      const given = calibration(name, last.step);
      const value = last.values[name];
      if (!given || value === undefined || !(given.deviation <= TELLING * spreads.get(name)!)) return [];
      values[name] = value + given.shift;
    }
    return [{ ...trial, status: 'complete', values }];
  });
}

function spreadOf(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value / values.length, 0);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1));
}
