// The true non-dominated set of what was measured, its hypervolume, and how both grew.
import { hypervolume, Nsga2Error, paretoFront } from '@instatune/nsga2';
import { totalViolation, type Bound } from '../constraints.ts';
import { widthOf } from '../range.ts';
import type { Space } from '../space.ts';
import { isComplete, type CompleteTrial, type Trial } from '../study/trial.ts';
import type { HistoryPoint } from './progress.ts';

/** Share of the first round's range added beyond its worst value. */
const MARGIN = 0.1;

/** Complete trials inside every bound. */
export function feasibleTrials(trials: readonly Trial[], bounds: readonly Bound[]): readonly CompleteTrial[] {
  return trials.filter(isComplete).filter(({ values }) => totalViolation(bounds, values) === 0);
}

/** Non-dominated among the given trials, by the first objective, best first; of equal points the earliest trial. */
export function frontOf(space: Space, trials: readonly CompleteTrial[]): readonly CompleteTrial[] {
  const points = trials.map(({ values }) => space.minimised(values));
  const seen = new Set<string>();
  return paretoFront(points)
    .map((index) => ({ trial: trials[index]!, point: points[index]! }))
    .filter(({ point }) => {
      const key = point.join(',');
      return !seen.has(key) && seen.add(key);
    })
    .sort((a, b) => a.point[0]! - b.point[0]! || a.trial.number - b.trial.number)
    .map(({ trial }) => trial);
}

/** Minimised: what the problem says, else the first round's worst complete values plus a tenth of their range. */
export function referencePoint(space: Space, trials: readonly Trial[]): readonly number[] | undefined {
  const first = trials.filter(isComplete).filter(({ round }) => round === 0);
  if (first.length === 0) return undefined;
  const points = first.map(({ values }) => space.minimised(values));
  return space.problem.objectives.map(({ name }, index) => {
    const fixed = space.problem.reference?.[name];
    if (fixed !== undefined) return space.signs[index]! * fixed;
    const column = points.map((point) => point[index]!);
    const worst = Math.max(...column);
    return worst + MARGIN * (widthOf(Math.min(...column), worst) || Math.abs(worst) || 1);
  });
}

/** Hypervolume of minimised points; those outside the reference count nothing. Infinity where it is beyond float64: no reason to end a search. */
export function volume(points: readonly (readonly number[])[], reference: readonly number[]): number {
  const inside = points.filter((point) => point.every((value, index) => value < reference[index]!));
  if (inside.length === 0) return 0;
  if (reference.length === 1) return reference[0]! - Math.min(...inside.map(([value]) => value!));
  try {
    return hypervolume(inside, reference);
  } catch (error) {
    // The points are finite and of one length: nothing else is left to refuse.
    if (error instanceof Nsga2Error && error.code === 'invalid-points') return Infinity;
    throw error;
  }
}

/** The front as trials come in, and its hypervolume; cheap where a trial does not enter the front. */
export class FrontTracker {
  readonly #space: Space;
  readonly #reference: readonly number[];
  readonly #bounds: readonly Bound[];
  #front: (readonly number[])[] = [];
  #volume = 0;

  constructor(space: Space, reference: readonly number[], bounds: readonly Bound[]) {
    this.#space = space;
    this.#reference = reference;
    this.#bounds = bounds;
  }

  get hypervolume(): number {
    return this.#volume;
  }

  get size(): number {
    return this.#front.length;
  }

  add(trial: Trial): void {
    if (!isComplete(trial) || totalViolation(this.#bounds, trial.values) > 0) return;
    const point = this.#space.minimised(trial.values);
    if (this.#front.some((other) => other.every((value, index) => value <= point[index]!))) return;
    this.#front = [...this.#front.filter((other) => !point.every((value, index) => value <= other[index]!)), point];
    this.#volume = volume(this.#front, this.#reference);
  }
}

/** Hypervolume after each trial, in order of proposal: the same for serial and parallel runs. */
export function hypervolumeHistory(
  space: Space,
  trials: readonly Trial[],
  reference: readonly number[],
  bounds: readonly Bound[],
): readonly HistoryPoint[] {
  const tracker = new FrontTracker(space, reference, bounds);
  return trials.map((trial, index) => {
    tracker.add(trial);
    return { evaluations: index + 1, hypervolume: tracker.hypervolume };
  });
}
