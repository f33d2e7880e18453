// Where a study is kept: what it writes through to, and what it gets back from there.
import type { IntermediateValues, RoundInfo, Trial, TrialReport } from './trial.ts';

/** Everything a journal gave back. */
export interface StudyContents {
  readonly trials: readonly Trial[];
  readonly rounds: readonly RoundInfo[];
  readonly reports: readonly TrialReport[];
  readonly reference: readonly number[] | undefined;
}

/** Where a study's changes are made durable. Every call returns only after its change is safe. */
export interface StudyJournal {
  addTrials(trials: readonly Trial[], round: RoundInfo | undefined): void;
  updateTrial(trial: Trial): void;
  setReference(reference: readonly number[]): void;
  setSettings(settings: Readonly<Record<string, unknown>>): void;
  addReport(report: TrialReport): void;
  addIntermediate(number: number, values: IntermediateValues): void;
  /** Where several processes write. */
  readonly sharing?: StudySharing | undefined;
  close(): void;
}

/** How a study's processes keep out of each other's way, and hear of each other. */
export interface StudySharing {
  /** Runs a change while no other process writes: all of it becomes durable, or none. */
  exclusively<T>(change: () => T): T;
  /** What others wrote since the last call; undefined where nothing did. */
  changes(): StudyChanges | undefined;
  /** Numbers of running trials whose process is gone or gave no sign of life for a lease's time. */
  abandoned(): readonly number[];
  /** Whether another process has a trial of this study now. */
  accompanied(): boolean;
}

/** What changed in a study; `whole` where it is all of it. */
export interface StudyChanges extends StudyContents {
  readonly whole: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A study that nobody keeps. */
export const MEMORY: StudyJournal = {
  addTrials() {},
  addIntermediate() {},
  updateTrial() {},
  setReference() {},
  setSettings() {},
  addReport() {},
  close() {},
};
