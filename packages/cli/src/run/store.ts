// Where a run keeps what it needs to go on after a kill: a record of small results, training states, the start, the study.
import { memoryStore, type ElasticModel, type StateStore } from '@instatune/supernet';
import type { RunRecord } from './record.ts';

/** Keeps one run. `folderRun` of the command keeps it on disk; this package's {@link memoryRun} for as long as the page lives. */
export interface RunStore {
  /** The record; undefined of a run that has not begun. @throws TuneError `other-run` where it cannot be read */
  read(): Promise<RunRecord | undefined>;
  /** Replaces the record as a whole or not at all. */
  write(record: RunRecord): Promise<void>;
  /** Training state by name. */
  state(name: string): StateStore;
  /** Forgets a training state. */
  forget(name: string): Promise<void>;
  /** Keeps the model that training starts from: with its new head, and in its order of importance. */
  saveStart(model: ElasticModel): Promise<void>;
  /** Where {@link saveStart} put it; undefined before. */
  start(): Promise<string | undefined>;
  /** The study file, and whether it holds the study already. @defaultValue searches are kept in memory */
  readonly study?: { readonly path: string; exists(): Promise<boolean> } | undefined;
}

/** Keeps a run in memory: in a page, where a killed tab loses it. */
export function memoryRun(): RunStore {
  const states = new Map<string, StateStore>();
  let record: RunRecord | undefined;
  return {
    read: async () => record,
    write: async (next) => {
      record = next;
    },
    state(name) {
      const state = states.get(name) ?? memoryStore();
      states.set(name, state);
      return state;
    },
    forget: async (name) => {
      states.delete(name);
    },
    saveStart: async () => {},
    start: async () => undefined,
  };
}
