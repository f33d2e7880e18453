// Early stopping with several objectives: what a trial may still become is compared with what others are.
import { SearchError } from '../errors.ts';
import { totalViolation, type Bound } from '../constraints.ts';
import { checkNames } from '../nearest.ts';
import type { Space } from '../space.ts';
import { calibrationAt } from '../tactics/partial.ts';
import { isComplete, type CompleteTrial, type IntermediateValues, type Trial } from '../study/trial.ts';

export interface EarlyStoppingOptions {
  /**
   * Steps after which a trial may be stopped, rising, below the problem's `steps`. @defaultValue a 16th, an 8th, a quarter and a half of these:
   * the rungs of successive halving
   */
  readonly rungs?: readonly number[] | undefined;
  /** Deviations between a rung's values and whole ones that a trial is given before it is compared. @defaultValue 1 */
  readonly margin?: number | undefined;
  /** Whole trials that must have passed a rung before anything is stopped there. @defaultValue 10 */
  readonly leastTrials?: number | undefined;
}

/** {@link EarlyStoppingOptions} with every default. */
export interface Stopping {
  readonly rungs: readonly number[];
  readonly margin: number;
  readonly leastTrials: number;
}

/** Shares of a whole measurement. */
const RUNGS = [1 / 16, 1 / 8, 1 / 4, 1 / 2];

/** @throws SearchError `invalid-option` */
export function stoppingOf(space: Space, given: boolean | EarlyStoppingOptions | undefined): Stopping | undefined {
  if (given === undefined || given === false) return undefined;
  const options = given === true ? {} : given;
  checkNames('earlyStopping', options, ['rungs', 'margin', 'leastTrials']);
  const { rungs, margin = 1, leastTrials = 10 } = options;
  const { steps } = space.problem;
  const fail = (what: string, value: unknown): never => {
    throw new SearchError('invalid-option', `earlyStopping: ${what}`, { value });
  };
  if (rungs === undefined && steps === undefined)
    fail(`problem "${space.problem.name}" does not say its steps: give it \`steps\`, or give rungs`, steps);
  const chosen = rungs ?? [...new Set(RUNGS.map((share) => Math.max(1, Math.round(share * steps!))))];
  const isRising = chosen.every((rung, i) => Number.isFinite(rung) && rung > (chosen[i - 1] ?? 0));
  if (!isRising || chosen.length === 0)
    fail(`rungs are ${JSON.stringify(chosen)}: give rising numbers above 0`, chosen);
  if (!(margin >= 0 && margin < Infinity)) fail(`margin is ${margin}: use deviations from 0`, margin);
  if (!(Number.isSafeInteger(leastTrials) && leastTrials >= 2))
    fail(`leastTrials is ${leastTrials}: use a whole number ≥ 2`, leastTrials);
  return { rungs: chosen.filter((rung) => steps === undefined || rung < steps), margin, leastTrials };
}

/**
 * Whether a trial is to end at a rung: where a whole, feasible trial dominates it even if each of its measured objectives came out `margin`
 * deviations better than expected from the rung. Expected is what such a value became in the trials that went on, by a straight line; the deviation
 * is that of what the line did not tell. Computed objectives have no margin. Asynchronous, as the rungs of ASHA (Li et al. 2020): nothing waits for others.
 */
export function isHopeless(
  space: Space,
  trials: readonly Trial[],
  trial: Trial,
  report: IntermediateValues,
  { stopping, bounds }: { readonly stopping: Stopping; readonly bounds: readonly Bound[] },
): boolean {
  if (!stopping.rungs.includes(report.step) || trial.origin === 'baseline') return false;
  const whole = trials.filter(isComplete);
  const best: Record<string, number> = { ...space.exact(trial.genes) };
  for (const { name, direction = 'minimize' } of space.measured) {
    const calibration = calibrationAt(whole, name, report.step, stopping.leastTrials);
    const value = report.values[name];
    if (!calibration || value === undefined || !Number.isFinite(value)) return false;
    const better = direction === 'minimize' ? -1 : 1;
    best[name] = calibration.expected(value) + better * stopping.margin * calibration.deviation(value);
  }
  const point = space.minimised(best);
  const dominates = ({ values }: CompleteTrial): boolean => {
    const other = space.minimised(values);
    return other.every((value, k) => value <= point[k]!) && other.some((value, k) => value < point[k]!);
  };
  return whole.some((other) => totalViolation(bounds, other.values) === 0 && dominates(other));
}
