// The front of a view, and how its hypervolume grew.
import { paretoFront } from '@instatune/nsga2';
import { totalViolation } from '../constraints.ts';
import { volume } from '../run/front.ts';
import type { StudyView, ViewTrial } from './data.ts';

/** Trials with a finite number for every objective. */
export function measuredTrials({ objectives, trials }: StudyView): readonly ViewTrial[] {
  return trials.filter(
    (trial) => trial.state === 'complete' && objectives.every(({ name }) => Number.isFinite(trial.objectives[name])),
  );
}

/** Objectives in order, all to be minimised. */
export function minimised({ objectives }: StudyView, trial: ViewTrial): number[] {
  return objectives.map(({ name, direction }) => (direction === 'maximize' ? -1 : 1) * trial.objectives[name]!);
}

const feasible = ({ constraints }: StudyView, trial: ViewTrial): boolean =>
  totalViolation(constraints, trial.objectives) === 0;

/** Measured trials inside every constraint that no other one of them dominates, by the first objective. */
export function viewFront(view: StudyView): readonly ViewTrial[] {
  const trials = measuredTrials(view).filter((trial) => feasible(view, trial));
  const points = trials.map((trial) => minimised(view, trial));
  return paretoFront(points)
    .sort((a, b) => points[a]![0]! - points[b]![0]! || a - b)
    .map((index) => trials[index]!);
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
  const reference = viewReference(view);
  if (!reference) return [];
  const measured = new Set(measuredTrials(view).filter((trial) => feasible(view, trial)));
  let front: (readonly number[])[] = [];
  let hypervolume = 0;
  return view.trials
    .filter(({ state }) => state !== 'pending' && state !== 'running')
    .map((trial, index) => {
      if (measured.has(trial)) {
        const point = minimised(view, trial);
        if (!front.some((other) => other.every((value, i) => value <= point[i]!))) {
          front = [...front.filter((other) => !point.every((value, i) => value <= other[i]!)), point];
          hypervolume = volume(front, reference);
        }
      }
      return { number: trial.number, evaluations: index + 1, hypervolume };
    });
}
