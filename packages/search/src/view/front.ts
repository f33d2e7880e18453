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

/** Measured trials inside every constraint that no other one of them dominates, by the first objective. */
export const viewFront = remembered((view: StudyView): readonly ViewTrial[] => {
  const trials = measuredTrials(view).filter((trial) => feasible(view, trial));
  const points = trials.map((trial) => minimised(view, trial));
  return paretoFront(points)
    .sort((a, b) => points[a]![0]! - points[b]![0]! || a - b)
    .map((index) => trials[index]!);
});

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
  const steps = viewHistorySteps(view);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
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
