// Parallel coordinates: one axis a variable and an objective, one line a trial. Axes lie across, so that a phone has room for all.
import type { StudyView, ViewTrial } from './data.ts';
import { shortNumber } from '../report/format.ts';
import { measuredTrials, viewFront } from './front.ts';

/** Lines that are drawn at most: the front, then the newest. */
const MOST_LINES = 300;

/** One axis: where a trial crosses it, and what stands at its ends. */
export interface Axis {
  readonly name: string;
  readonly ends: readonly [string, string];
  /** 0 to 1, or nothing where the trial has no value. */
  place(trial: ViewTrial): number | undefined;
}

export interface ParallelLine {
  readonly trial: ViewTrial;
  readonly front: boolean;
}

const scaled = (value: number, least: number, most: number): number | undefined =>
  Number.isFinite(value) ? (most > least ? (value - least) / (most - least) : 0.5) : undefined;

/** Axes of the given variables, then of the objectives; of a permutation there is none. */
export function axesOf(view: StudyView, variables: readonly string[]): readonly Axis[] {
  const chosen = view.variables.filter(({ name, kind }) => variables.includes(name) && kind !== 'permutation');
  const trials = measuredTrials(view);
  return [
    ...chosen.map(({ name, bounds, values, scale }): Axis => {
      if (values) {
        const last = values.length - 1;
        return {
          name,
          ends: [String(values[0]), String(values[last])],
          place: (trial) => {
            const place = values.indexOf(trial.values[name] as string);
            return place < 0 ? undefined : scaled(place, 0, last);
          },
        };
      }
      const [least, most] = bounds ?? extent(trials.map((trial) => Number(trial.values[name])));
      const even = scale === 'log' ? Math.log : (value: number) => value;
      return {
        name,
        ends: [shortNumber(least), shortNumber(most)],
        place: (trial) =>
          name in trial.values ? scaled(even(Number(trial.values[name])), even(least), even(most)) : undefined,
      };
    }),
    ...view.objectives.map(({ name, unit }): Axis => {
      const [least, most] = extent(trials.map(({ objectives }) => objectives[name]!));
      return {
        name: unit === undefined ? name : `${name} (${unit})`,
        ends: [shortNumber(least), shortNumber(most)],
        place: ({ objectives }) => scaled(objectives[name]!, least, most),
      };
    }),
  ];
}

function extent(values: readonly number[]): readonly [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return most >= least ? [least, most] : [0, 1];
}

/** Which trials are drawn, those of the front last and so on top. */
export function linesOf(view: StudyView): readonly ParallelLine[] {
  const front = new Set(viewFront(view));
  const others = measuredTrials(view).filter((trial) => !front.has(trial));
  const room = Math.max(0, MOST_LINES - front.size);
  return [
    ...(room === 0 ? [] : others.slice(-room)).map((trial) => ({ trial, front: false })),
    ...[...front].slice(0, MOST_LINES).map((trial) => ({ trial, front: true })),
  ];
}
