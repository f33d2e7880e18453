// When to search again: each stage's output serves for its own number of decode steps.
import type { HipConfig } from '../config/config.ts';

/** Counts decode steps against the refresh intervals of the stages (one interval, r_m, for the tree search). */
export class RefreshClock {
  readonly #intervals: readonly number[];
  /** Steps since each stage ran; Infinity before the first time. */
  readonly #ages: number[];

  constructor({ stages, refreshInterval }: Pick<HipConfig, 'stages' | 'refreshInterval'>) {
    this.#intervals = stages ? stages.map(({ refresh }) => refresh ?? refreshInterval) : [refreshInterval];
    this.#ages = this.#intervals.map(() => Infinity);
  }

  /** Steps since the first stage ran. */
  get age(): number {
    return this.#ages[0]!;
  }

  /** Counts a step. Returns the first stage that must run in it (all later ones follow), undefined when none must. */
  tick(): number | undefined {
    this.#ages.forEach((age, i) => (this.#ages[i] = age + 1));
    const first = this.#ages.findIndex((age, i) => age >= this.#intervals[i]!);
    if (first < 0) return undefined;
    this.#ages.fill(0, first);
    return first;
  }

  /** The next step runs all stages. */
  reset(): void {
    this.#ages.fill(Infinity);
  }
}
