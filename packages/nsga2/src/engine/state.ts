// The saved form of a run: plain JSON that continues exactly where it stopped.
import type { RandomState } from '../random.ts';
import type { ParetoArchive } from '../archive.ts';
import type { Duplicates } from './options.ts';

/** One individual; objectives and violation are null after a failed evaluation, crowding null for Infinity. */
export interface SavedIndividual {
  readonly id: number;
  readonly genes: readonly number[];
  readonly objectives: readonly number[] | null;
  readonly violation: number | null;
  readonly rank: number;
  readonly crowding: number | null;
}

/** A candidate of the generation under way; `told` once its evaluation came. */
export interface SavedCandidate {
  readonly id: number;
  readonly genes: readonly number[];
  readonly told?: { readonly objectives: readonly number[] | null; readonly violation: number | null };
}

/** Everything an engine is, as JSON. Version 1. */
export interface EngineState {
  readonly format: 'instatune-nsga2';
  readonly version: 1;
  readonly survival: string;
  readonly survivalState?: unknown;
  readonly options: {
    readonly populationSize: number;
    readonly offspring: number;
    readonly seed: number;
    readonly duplicates: Duplicates;
    /** Crossover and mutation of each type of variable, by name: functions are not saved. */
    readonly operators: Readonly<Record<string, readonly [crossover: string, mutation: string]>>;
    readonly archiveCapacity: number | null;
  };
  readonly problem: { readonly genes: number; readonly objectives: number };
  readonly random: RandomState;
  readonly generation: number;
  readonly nextId: number;
  readonly evaluations: number;
  readonly exhausted: boolean;
  readonly population: readonly SavedIndividual[];
  /** The generation under way; null between generations. */
  readonly candidates: readonly SavedCandidate[] | null;
  /** Every genome ever asked, where duplicates are checked against the history. */
  readonly history?: readonly (readonly number[])[];
  readonly archive?: ReturnType<ParetoArchive['toJSON']>;
}
