// How sure a front is when measurements are noisy: standard errors of trials, and the probability that none dominates them.
import { Random } from '@instatune/nsga2';
import type { SearchResult } from '../run/progress.ts';
import { isComplete } from '../study/trial.ts';

type Values = Readonly<Record<string, unknown>>;

/** Behind an objective's name: its standard error among a trial's values, in the objective's unit. */
const MARK = ' ±';

/** Under which name the standard error of a value is kept. */
export const errorName = (name: string): string => `${name}${MARK}`;

/** Standard errors among a trial's values, by the names of what was measured. */
export function standardErrors(values: Values): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      name.endsWith(MARK) && typeof value === 'number' && Number.isFinite(value)
        ? [[name.slice(0, -MARK.length), value]]
        : [],
    ),
  );
}

/** A point whose coordinates are known up to normal deviates. */
export interface UncertainPoint {
  /** Minimised. */
  readonly mean: readonly number[];
  /** Standard errors; 0 where a coordinate is exact. */
  readonly error: readonly number[];
}

/** Worlds that are drawn: probabilities are right to about .02. */
const DRAWS = 512;

/**
 * For each point the probability that no other one dominates it, errors taken for normal and independent; by drawing, the same every time.
 * Points that are exact and dominated have 0, exact and non-dominated among exact ones 1.
 */
export function nonDominatedProbabilities(points: readonly UncertainPoint[], seed = 0): Float64Array {
  const count = new Float64Array(points.length);
  const random = new Random(seed);
  const near = contenders(points);
  const draws = near.every((i) => points[i]!.error.every((value) => value === 0)) ? 1 : DRAWS;
  for (let draw = 0; draw < draws; draw++) {
    const world = near.map((i) => {
      const { mean, error } = points[i]!;
      return mean.map((value, k) => (error[k] === 0 ? value : value + error[k]! * random.normal()));
    });
    world.forEach((point, n) => {
      if (!world.some((other, m) => m !== n && dominates(other, point))) count[near[n]!]!++;
    });
  }
  return count.map((each) => each / draws);
}

/** How many standard errors away a point can be thought to lie. */
const REACH = 4;

/** Points that no other one dominates even at its worst, they at their best: the others are as good as dominated, and dominate none of these. */
function contenders(points: readonly UncertainPoint[]): readonly number[] {
  const at = (sign: number) =>
    points.map(({ mean, error }) => mean.map((value, k) => value + sign * REACH * error[k]!));
  const [best, worst] = [at(-1), at(1)];
  return best.flatMap((point, i) => (worst.some((other, j) => j !== i && dominates(other, point)) ? [] : [i]));
}

function dominates(a: readonly number[], b: readonly number[]): boolean {
  let better = false;
  for (let k = 0; k < a.length; k++) {
    if (a[k]! > b[k]!) return false;
    better ||= a[k]! < b[k]!;
  }
  return better;
}

/**
 * For each measured trial, by number, the probability that none dominates it: the front with its uncertainty. Of trials without standard errors (see
 * `repeated`) it is 0 or 1. Constraints are not asked.
 *
 * @example
 * const sure = [...frontProbabilities(result)].filter(([, probability]) => probability > 0.95);
 */
export function frontProbabilities({
  header,
  trials,
}: Pick<SearchResult, 'header' | 'trials'>): ReadonlyMap<number, number> {
  const complete = trials.filter(isComplete);
  const points = complete.map(({ values }): UncertainPoint => {
    const errors = standardErrors(values);
    return {
      mean: header.objectives.map(({ name, direction }) => (direction === 'maximize' ? -1 : 1) * values[name]!),
      error: header.objectives.map(({ name }) => errors[name] ?? 0),
    };
  });
  const probabilities = nonDominatedProbabilities(points);
  return new Map(complete.map(({ number }, index) => [number, probabilities[index]!]));
}
