// The front of a view, and how its hypervolume grew.
import { paretoFront } from '@instatune/nsga2';
import { totalViolation } from '../constraints.ts';
import { volume } from '../run/front.ts';
import type { StudyView, ViewTrial } from './data.ts';

/** What is known of a view, which never changes: every panel asks for the same. */
export function remembered<T>(compute: (view: StudyView) => T): (view: StudyView) => T {
  const known = new WeakMap<StudyView, T>();
  return (view) => {
    if (!known.has(view)) known.set(view, compute(view));
    return known.get(view)!;
  };
}

/** Trials with a finite number for every objective. */
export const measuredTrials = remembered(({ objectives, trials }: StudyView): readonly ViewTrial[] =>
  trials.filter(
    (trial) => trial.state === 'complete' && objectives.every(({ name }) => Number.isFinite(trial.objectives[name])),
  ),
);

/** Objectives in order, all to be minimised. */
export function minimised({ objectives }: StudyView, trial: ViewTrial): number[] {
  return objectives.map(({ name, direction }) => (direction === 'maximize' ? -1 : 1) * trial.objectives[name]!);
}

const feasible = ({ constraints }: StudyView, trial: ViewTrial): boolean =>
  totalViolation(constraints, trial.objectives) === 0;

const fronts = new WeakMap<StudyView, readonly ViewTrial[]>();
/** Trials whose front is found at once. */
const FRONT_STEP = 2000;

/** Measured trials inside every constraint that no other one of them dominates, by the first objective. */
export const viewFront = (view: StudyView): readonly ViewTrial[] => fronts.get(view) ?? atOnce(viewFrontSteps(view));

/** {@link viewFront} bit by bit, remembered for it: the front of the fronts of `step` trials each. */
export function* viewFrontSteps(view: StudyView, step = FRONT_STEP): Generator<undefined, readonly ViewTrial[]> {
  const trials = measuredTrials(view);
  const parts: ViewTrial[] = [];
  for (let from = 0; from < trials.length; from += step) {
    const some = trials.slice(from, from + step).filter((trial) => feasible(view, trial));
    parts.push(...undominated(view, some));
    yield undefined;
  }
  const front = trials.length > step ? undominated(view, parts) : parts;
  const first = new Map(front.map((trial) => [trial, minimised(view, trial)[0]!]));
  const sorted = front.toSorted((a, b) => first.get(a)! - first.get(b)!);
  fronts.set(view, sorted);
  return sorted;
}

/** In their order. */
function undominated(view: StudyView, trials: readonly ViewTrial[]): readonly ViewTrial[] {
  return paretoFront(trials.map((trial) => minimised(view, trial))).map((index) => trials[index]!);
}

/** Runs a computation that could stop in between to its end. */
function atOnce<T>(steps: Generator<unknown, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The reference in the view, else the worst that was measured and a tenth of the range beyond, minimised. */
export function viewReference(view: StudyView): readonly number[] | undefined {
  const signs = view.objectives.map(({ direction }) => (direction === 'maximize' ? -1 : 1));
  const { reference } = view;
  if (reference && view.objectives.every(({ name }) => Number.isFinite(reference[name])))
    return view.objectives.map(({ name }, index) => signs[index]! * reference[name]!);
  const points = measuredTrials(view).map((trial) => minimised(view, trial));
  if (points.length === 0) return undefined;
  return view.objectives.map((_, index) => {
    let [least, most] = [Infinity, -Infinity];
    for (const point of points) {
      least = Math.min(least, point[index]!);
      most = Math.max(most, point[index]!);
    }
    return most + 0.1 * (most - least || Math.abs(most) || 1);
  });
}

/** Hypervolume once the trial of this number was known. */
export interface ViewHistoryPoint {
  readonly number: number;
  /** Finished trials by then, failed ones too. */
  readonly evaluations: number;
  readonly hypervolume: number;
}

/** Hypervolume after each finished trial, in order of proposal. With one objective: how far the best is below the reference. */
export function viewHistory(view: StudyView): readonly ViewHistoryPoint[] {
  return atOnce(viewHistorySteps(view));
}

/** {@link viewHistory} bit by bit: thousands of trials take longer than a page should be silent. */
export function* viewHistorySteps(view: StudyView): Generator<undefined, readonly ViewHistoryPoint[]> {
  const reference = viewReference(view);
  if (!reference) return [];
  const measured = new Set(measuredTrials(view).filter((trial) => feasible(view, trial)));
  const history: ViewHistoryPoint[] = [];
  let front: (readonly number[])[] = [];
  let hypervolume = 0;
  for (const trial of view.trials) {
    if (trial.state === 'pending' || trial.state === 'running') continue;
    if (measured.has(trial)) {
      const point = minimised(view, trial);
      if (!front.some((other) => weaklyBeats(other, point))) {
        front = [...front.filter((other) => !weaklyBeats(point, other)), point];
        hypervolume = volume(front, reference);
      }
    }
    history.push({ number: trial.number, evaluations: history.length + 1, hypervolume });
    if (history.length % 32 === 0) yield undefined;
  }
  return history;
}

/** At least as good in everything. */
function weaklyBeats(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i]! > b[i]!) return false;
  return true;
}
