// What a search tells while it runs, and what it returns.
import type { Bound } from '../constraints.ts';
import type { StudyHeader } from '../study/header.ts';
import type { Study } from '../study/study.ts';
import type { Trial, TrialReport } from '../study/trial.ts';

/** One point of the front: no other complete, feasible trial is at least as good everywhere and better somewhere. */
export interface FrontPoint {
  /** The trial's number. */
  readonly number: number;
  readonly genes: readonly number[];
  /** Objectives in their own unit and direction, attributes, and whatever else was measured, on the search split. */
  readonly values: Readonly<Record<string, number>>;
  /** The same on the reported split, where it was measured. */
  readonly report?: Readonly<Record<string, number>>;
}

/** Hypervolume after so many finished trials. */
export interface HistoryPoint {
  readonly evaluations: number;
  readonly hypervolume: number;
}

export interface SearchProgress {
  readonly phase: 'proposing' | 'measuring' | 'reporting';
  readonly round: number;
  /** Finished trials (failed ones too). */
  readonly evaluations: number;
  readonly budget: number;
  /** Undefined until the first round fixed the reference point. */
  readonly hypervolume: number | undefined;
  readonly frontSize: number;
  readonly elapsedMs: number;
  /** Undefined until something was measured in this run. */
  readonly etaMs: number | undefined;
  /** The trial that just finished, while measuring. */
  readonly trial?: Trial;
}

export interface SearchResult {
  readonly header: StudyHeader;
  readonly trials: readonly Trial[];
  /** Sorted by the first objective, best first. */
  readonly front: readonly FrontPoint[];
  readonly history: readonly HistoryPoint[];
  readonly hypervolume: number;
  /** Hypervolume reference by objective name, in its own direction. */
  readonly reference: Readonly<Record<string, number>>;
  /** The baseline trial's values, where the problem has a baseline. */
  readonly baseline: Readonly<Record<string, number>> | undefined;
  /** Constraints as numbers. */
  readonly bounds: readonly Bound[];
  readonly reports: readonly TrialReport[];
  /** The study itself; closed if it is a file. */
  readonly study: Study;
}
