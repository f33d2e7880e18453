// When a run ends: evaluations, generations, time, stagnation of the hypervolume, or a condition of the caller's.
import { Nsga2Error } from '../errors.ts';
import type { Individual } from '../engine/population.ts';
import { hypervolume } from '../indicators/hypervolume.ts';
import { widthOf } from '../range.ts';
import type { Saved } from '../saved.ts';

/** Ends a run when the hypervolume of the front has stopped growing. */
export interface StagnationOptions {
  /** Length of the window in generations. @defaultValue 30 */
  readonly generations?: number | undefined;
  /** The run ends when the hypervolume grew by less than this fraction over the window. @defaultValue 1e-4 */
  readonly tolerance?: number | undefined;
  /** Reference point. @defaultValue worst values of the first feasible front + 10 % of its range */
  readonly reference?: readonly number[] | undefined;
}

export interface StagnationState {
  readonly reference: readonly number[] | null;
  readonly history: readonly number[];
}

/** Follows the hypervolume of the front over a window of generations. */
export class Stagnation {
  private readonly window: number;
  private readonly tolerance: number;
  private reference: readonly number[] | undefined;
  private history: number[] = [];

  constructor(options: StagnationOptions, state?: StagnationState) {
    this.window = options.generations ?? 30;
    this.tolerance = options.tolerance ?? 1e-4;
    if (!Number.isInteger(this.window) || this.window < 1 || !(this.tolerance >= 0)) {
      throw new Nsga2Error('invalid-option', 'stagnation needs generations >= 1 and tolerance >= 0', { ...options });
    }
    this.reference = state?.reference ?? options.reference;
    this.history = [...(state?.history ?? [])];
  }

  /** @returns true when the front has stagnated */
  update(front: readonly Individual[]): boolean {
    if (front.length === 0) return false;
    const points = front.map(({ objectives }) => objectives);
    this.reference ??= referenceFor(points);
    this.history.push(hypervolume(points, this.reference));
    if (this.history.length > this.window + 1) this.history.shift();
    if (this.history.length <= this.window) return false;
    const before = this.history[0]!;
    const now = this.history.at(-1)!;
    return now - before <= this.tolerance * Math.abs(before) && now > 0;
  }

  toJSON(): StagnationState {
    return { reference: this.reference ?? null, history: this.history };
  }
}

/** @throws Nsga2Error `invalid-state` naming the field, unless this is a {@link StagnationState} */
export function checkStagnation(saved: Saved, objectives: number): void {
  const reference = saved.field('reference');
  if (!reference.isNull) reference.numbers(objectives);
  const history = saved.field('history');
  if (reference.isNull && history.numbers().length > 0) history.fail('empty, as there is no reference');
  if (history.numbers().some((volume) => volume < 0)) history.fail('a list of volumes of at least 0');
}

/** The worst value of each objective plus a tenth of its range (of its size where the range is zero). */
export function referenceFor(points: readonly (readonly number[])[]): number[] {
  return points[0]!.map((_, k) => {
    const column = points.map((point) => point[k]!);
    const worst = column.reduce((a, b) => Math.max(a, b));
    const range = widthOf(
      column.reduce((a, b) => Math.min(a, b)),
      worst,
    );
    return worst + 0.1 * (range || Math.abs(worst) || 1);
  });
}
