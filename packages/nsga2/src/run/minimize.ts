// The two faces that run the problem themselves: `evolve`, an async iterator of generations, and `minimize`.
import type { ParetoArchive } from '../archive.ts';
import type { Individual } from '../engine/population.ts';
import { Nsga2Error } from '../errors.ts';
import type { Problem } from '../problem.ts';
import { Breath } from './breath.ts';
import { createEngine } from './engine.ts';
import { evaluateCandidates } from './evaluate.ts';
import { checkRun, describe, type Generation, type RunState } from './generation.ts';
import { assertEnds, type EvolveOptions } from './options.ts';
import { Stagnation } from './termination.ts';

/** Milliseconds after which a synchronous run lets timers and the abort signal have their turn. */
const BREATH_MS = 30;

/** Why a run ended. */
export type Termination = 'evaluations' | 'generations' | 'time' | 'stagnation' | 'until' | 'exhausted';

/** Options of {@link minimize}. */
export type MinimizeOptions = EvolveOptions & {
  /** Called after each generation; awaited, so that it can save the state. */
  readonly onGeneration?: (generation: Generation) => void | Promise<void>;
};

/** What {@link minimize} found. */
export interface MinimizeResult {
  /** Feasible individuals of the final population that none dominates, by ascending first objective. */
  readonly front: readonly Individual[];
  readonly population: readonly Individual[];
  readonly archive: ParetoArchive | undefined;
  readonly evaluations: number;
  readonly generations: number;
  readonly elapsed: number;
  readonly termination: Termination;
  /** Continues the run with a larger budget, on the trajectory it would have had from the start. */
  state(): RunState;
}

/**
 * Runs an algorithm and yields each completed generation. Leave the loop at any time to end the run.
 *
 * @throws Nsga2Error `invalid-option`, `invalid-problem`, `invalid-variable` and `invalid-genes` for what is given; `invalid-state`
 * for a `resume` that is damaged or of another problem; `invalid-evaluation` for what `evaluate` returns; `evaluation-failed` with what
 * it throws as `cause`; `invalid-problem` with what `repair`, `canonical` or an operator throws as `cause`; `aborted`. An error that
 * ends a run in which anything was asked has its `state`, which resumes it
 *
 * @example
 * ```ts
 * import { evolve, zdt } from '@instatune/nsga2';
 *
 * for await (const { generation, front } of evolve(zdt(1), { populationSize: 40, seed: 3, maxGenerations: 10 })) {
 *   console.log(generation, front.length);
 * }
 * ```
 */
export async function* evolve(problem: Problem, options: EvolveOptions): AsyncGenerator<Generation, MinimizeResult> {
  assertEnds(options);
  if (options.resume) checkRun(options.resume, problem.objectives);
  const engine = createEngine(problem, options);
  const signal = options.signal ?? new AbortController().signal;
  const stagnation =
    options.stagnation &&
    new Stagnation(options.stagnation === true ? {} : options.stagnation, options.resume?.stagnation);
  const start = performance.now();
  const elapsed = (): number => (options.resume?.elapsed ?? 0) + (performance.now() - start) / 1000;
  const state = (): RunState => ({
    engine: engine.toJSON(),
    elapsed: elapsed(),
    ...(stagnation ? { stagnation: stagnation.toJSON() } : {}),
  });
  const aborted = (cause: unknown): Nsga2Error =>
    new Nsga2Error('aborted', `aborted after ${engine.evaluations} evaluations`, { state: state() }, { cause });
  /** The error with what was evaluated so far; as it is where not even the first generation could be made. */
  const withState = (error: unknown): unknown => {
    if (engine.evaluations === 0 && engine.pending === 0) return error;
    const details = { state: state() };
    if (error instanceof Nsga2Error)
      return new Nsga2Error(error.code, error.message, { ...error.details, ...details }, { cause: error.cause });
    const message = error instanceof Error ? error.message : String(error);
    return new Nsga2Error('invalid-problem', `the next candidates cannot be made: ${message}`, details, {
      cause: error,
    });
  };
  const breath = new Breath({ milliseconds: BREATH_MS });
  const evaluation = {
    concurrency: options.concurrency ?? 1,
    onEvaluationError: options.onEvaluationError ?? 'throw',
    signal,
    breathe: () => breath.take(),
  } as const;
  const budget = options.maxEvaluations ?? Infinity;
  let termination: Termination | undefined;
  while (termination === undefined) {
    if (signal.aborted) throw aborted(signal.reason);
    if (engine.evaluations >= budget) {
      termination = 'evaluations';
      break;
    }
    if (engine.generation >= (options.maxGenerations ?? Infinity)) {
      termination = 'generations';
      break;
    }
    let generation: Generation;
    let stagnated: boolean;
    try {
      const candidates = engine.ask(budget - engine.evaluations);
      if (candidates.length === 0) {
        termination = 'exhausted';
        break;
      }
      await evaluateCandidates(engine, candidates, evaluation);
      if (!engine.betweenGenerations) continue;
      generation = describe(engine, elapsed(), state);
      stagnated = stagnation ? stagnation.update(generation.front) : false;
    } catch (error) {
      throw signal.aborted ? aborted(error) : withState(error);
    }
    yield generation;
    if (options.until?.(generation)) termination = 'until';
    else if (elapsed() >= (options.maxSeconds ?? Infinity)) termination = 'time';
    else if (stagnated) termination = 'stagnation';
  }
  return {
    ...engine.snapshot(),
    evaluations: engine.evaluations,
    generations: engine.generation,
    elapsed: elapsed(),
    termination,
    state,
  };
}

/**
 * Minimises all objectives of a problem at once.
 *
 * @throws Nsga2Error as {@link evolve}, and what `onGeneration` throws
 *
 * @example
 * ```ts
 * import { minimize, zdt } from '@instatune/nsga2';
 *
 * const { front } = await minimize(zdt(1), { maxEvaluations: 5000, seed: 1 });
 * front[0]?.objectives; // the trade-off with the smallest first objective
 * ```
 */
export async function minimize(problem: Problem, options: MinimizeOptions): Promise<MinimizeResult> {
  const generations = evolve(problem, options);
  for (;;) {
    const step = await generations.next();
    if (step.done) return step.value;
    await options.onGeneration?.(step.value);
  }
}
