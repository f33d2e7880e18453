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

/** Type and range of a variable: what genes mean. Names and the values of categories may change between sessions. */
export type SavedVariable =
  | {
      readonly type: 'real' | 'integer';
      readonly lower: number;
      readonly upper: number;
      readonly scale?: 'log';
      readonly step?: number;
    }
  | { readonly type: 'categorical' | 'ordinal'; readonly count: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'permutation'; readonly length: number };

/** Version of {@link EngineState}. Version 1 did not hold the variables, so its genes cannot be trusted. */
export const STATE_VERSION = 2;

/** Everything an engine is, as JSON. */
export interface EngineState {
  readonly format: 'instatune-nsga2';
  readonly version: typeof STATE_VERSION;
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
  readonly problem: {
    readonly variables: readonly SavedVariable[];
    readonly objectives: number;
    readonly inequality: number;
    readonly equality: number;
  };
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
