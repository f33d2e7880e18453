// What a part of a measurement tells of the whole: for stopping trials, and for learning from those that were stopped.
import type { Space } from '../space.ts';
import { isComplete, type CompleteTrial, type Trial } from '../study/trial.ts';

/** What a value at a step tells of the whole one. */
export interface Calibration {
  /** The whole value to expect after one. */
  expected(value: number): number;
  /** Of the whole value from the expected one: greater where few trials tell, and beyond those that do. */
  deviation(value: number): number;
  /** Of the whole values that are known from those expected of them. */
  readonly residual: number;
}

/** With fewer trials the whole values are taken to differ from those at the step by a shift alone: a slope would be chance. */
const LEAST_FOR_SLOPE = 8;

/**
 * From the whole trials that reported at the step; undefined where fewer than `least` did. A straight line by least squares: the first batches may be
 * harder than the others, by a sum and by a factor. The deviation is that of a new observation.
 */
export function calibrationAt(
  whole: readonly CompleteTrial[],
  name: string,
  step: number,
  least: number,
): Calibration | undefined {
  const parts: number[] = [];
  const wholes: number[] = [];
  for (const { intermediate, values } of whole) {
    const value = intermediate?.find((report) => report.step === step)?.values[name];
    if (value === undefined || !Number.isFinite(value)) continue;
    parts.push(value);
    wholes.push(values[name]!);
  }
  const count = parts.length;
  if (count < least) return undefined;
  const [x, y] = [meanOf(parts), meanOf(wholes)];
  const width = parts.reduce((sum, part) => sum + (part - x) ** 2, 0);
  const isLine = count >= LEAST_FOR_SLOPE && width > 0;
  const slope = isLine ? parts.reduce((sum, part, i) => sum + (part - x) * (wholes[i]! - y), 0) / width : 1;
  const expected = (value: number): number => y + slope * (value - x);
  const squares = parts.reduce((sum, part, i) => sum + (wholes[i]! - expected(part)) ** 2, 0);
  const residual = Math.sqrt(squares / (count - (isLine ? 2 : 1)));
  const deviation = (value: number): number =>
    residual * Math.sqrt(1 + 1 / count + (isLine ? (value - x) ** 2 / width : 0));
  return { expected, deviation, residual };
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);

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
    values[name] = calibration.expected(value);
  }
  return values;
}

/** Whole trials that a calibration needs before predictors learn by it. */
const LEAST = 8;

/** A part tells enough of the whole where what it leaves open varies by less than this share of what the whole trials vary by. */
const TELLING = 0.5;

/**
 * Stopped trials with what is expected of their measured objectives, for predictors to learn from: what is expected after the last values
 * reported. Left out where that is too uncertain. They are estimates: no front has them.
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
      if (!given || value === undefined || !(given.residual <= TELLING * spreads.get(name)!)) return [];
      values[name] = given.expected(value);
    }
    return [{ ...trial, status: 'complete', values }];
  });
}

function spreadOf(values: readonly number[]): number {
  const mean = meanOf(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1));
}
