// One completed generation of a run, and the state that goes on from it.
import type { ParetoArchive } from '../archive.ts';
import type { Evolution } from '../engine/evolution.ts';
import type { Individual } from '../engine/population.ts';
import type { EngineState } from '../engine/state.ts';
import { Saved } from '../saved.ts';
import { checkStagnation, type StagnationState } from './termination.ts';

/** A saved run: the engine and what the terminations remember. Plain JSON. */
export interface RunState {
  readonly engine: EngineState;
  /** Seconds spent so far. */
  readonly elapsed: number;
  readonly stagnation?: StagnationState;
}

/** One completed generation. */
export interface Generation {
  /** 1 for the initial population. */
  readonly generation: number;
  readonly evaluations: number;
  /** Seconds spent so far, resumed runs included. */
  readonly elapsed: number;
  readonly population: readonly Individual[];
  /** Feasible individuals that none dominates, by ascending first objective. */
  readonly front: readonly Individual[];
  readonly archive: ParetoArchive | undefined;
  /** The state at the end of this generation; call it before the next one is awaited. */
  state(): RunState;
}

/** What a run state holds besides the engine, which checks its own. @throws Nsga2Error `invalid-state` */
export function checkRun(state: RunState, objectives: number): void {
  const saved = new Saved(state, 'the saved run');
  saved.field('elapsed').number(0);
  const stagnation = saved.field('stagnation');
  if (!stagnation.missing) checkStagnation(stagnation, objectives);
}

export function describe(engine: Evolution, elapsed: number, state: () => RunState): Generation {
  let population: readonly Individual[] | undefined;
  let front: readonly Individual[] | undefined;
  return {
    generation: engine.generation,
    evaluations: engine.evaluations,
    elapsed,
    // Computed when first read: a run that nobody watches does not pay for it.
    get population() {
      return (population ??= engine.population);
    },
    get front() {
      return (front ??= engine.front);
    },
    archive: engine.archive,
    state,
  };
}
