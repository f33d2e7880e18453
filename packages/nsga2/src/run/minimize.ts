// The two faces that run the problem themselves: `evolve`, an async iterator of generations, and `minimize`.
import type { ParetoArchive } from '../archive.ts';
import type { Evolution } from '../engine/evolution.ts';
import { Nsga2 } from '../engine/nsga2.ts';
import { Nsga3, Unsga3, type Nsga3Options } from '../engine/nsga3.ts';
import type { EngineOptions, Nsga2Options } from '../engine/options.ts';
import type { Individual } from '../engine/population.ts';
import { SmsEmoa } from '../engine/sms-emoa.ts';
import type { EngineState } from '../engine/state.ts';
import { Nsga2Error } from '../errors.ts';
import { Saved } from '../saved.ts';
import type { Problem } from '../problem.ts';
import { Breath } from './breath.ts';
import { evaluateCandidates, type OnEvaluationError } from './evaluate.ts';
import { checkStagnation, Stagnation, type StagnationOptions, type StagnationState } from './termination.ts';

/** Milliseconds after which a synchronous run lets timers and the abort signal have their turn. */
const BREATH_MS = 30;

/** Why a run ended. */
export type Termination = 'evaluations' | 'generations' | 'time' | 'stagnation' | 'until' | 'exhausted';

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

interface RunOptions {
  /** Ends the run after this many evaluations, never later. The last generation may be incomplete. */
  readonly maxEvaluations?: number | undefined;
  /** Ends the run after this many generations; the initial population is the first. */
  readonly maxGenerations?: number | undefined;
  /** Ends the run after the generation during which this many seconds have passed, resumed runs included. */
  readonly maxSeconds?: number | undefined;
  /** Ends the run when the hypervolume stops growing. */
  readonly stagnation?: StagnationOptions | true | undefined;
  /** Ends the run after the generation for which this returns true. */
  readonly until?: ((generation: Generation) => boolean) | undefined;
  /** Evaluations under way at a time where `evaluate` is asynchronous; the result is the same. @defaultValue 1 */
  readonly concurrency?: number | undefined;
  /**
   * `fail` counts a candidate whose evaluation throws, or gives a value that is not finite, as failed and goes on. `throw`
   * ends the run with an error whose `state` holds everything that was evaluated. @defaultValue 'throw'
   */
  readonly onEvaluationError?: OnEvaluationError | undefined;
  /** Ends the run with Nsga2Error `aborted`; its `details.state` resumes it. */
  readonly signal?: AbortSignal | undefined;
  /** Continues a saved run; its sizes and seed replace those given here. */
  readonly resume?: RunState | undefined;
}

/** Options of {@link evolve}: an algorithm, its options, and at least one way to end. */
export type EvolveOptions = RunOptions &
  (
    | ({ /** @defaultValue 'nsga2' */ readonly algorithm?: 'nsga2' } & Nsga2Options)
    | ({ readonly algorithm: 'nsga3' | 'unsga3' } & Nsga3Options)
    | ({ readonly algorithm: 'sms-emoa' } & EngineOptions)
  );

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

function createEngine(problem: Problem, options: EvolveOptions): Evolution {
  const state = options.resume?.engine;
  switch (options.algorithm ?? 'nsga2') {
    case 'nsga2':
      return state ? Nsga2.fromJSON(state, problem, options) : new Nsga2(problem, options);
    case 'nsga3':
      return state ? Nsga3.fromJSON(state, problem, options) : new Nsga3(problem, options);
    case 'unsga3':
      return state ? Unsga3.fromJSON(state, problem, options) : new Unsga3(problem, options);
    case 'sms-emoa':
      return state ? SmsEmoa.fromJSON(state, problem, options) : new SmsEmoa(problem, options);
    default:
      throw new Nsga2Error(
        'invalid-option',
        `algorithm is ${String(options.algorithm)}: use nsga2, nsga3, unsga3 or sms-emoa`,
        { algorithm: options.algorithm },
      );
  }
}

/** What a run state holds besides the engine, which checks its own. @throws Nsga2Error `invalid-state` */
function checkRun(state: RunState, objectives: number): void {
  const saved = new Saved(state, 'the saved run');
  saved.field('elapsed').number(0);
  const stagnation = saved.field('stagnation');
  if (!stagnation.missing) checkStagnation(stagnation, objectives);
}

function describe(engine: Evolution, elapsed: number, state: () => RunState): Generation {
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

function assertEnds(options: EvolveOptions): void {
  const { maxEvaluations, maxGenerations, maxSeconds, stagnation, until, concurrency = 1 } = options;
  for (const [name, value] of Object.entries({ maxEvaluations, maxGenerations, maxSeconds })) {
    if (value !== undefined && !(value > 0)) {
      throw new Nsga2Error('invalid-option', `${name} is ${value}: needs a positive number`, { [name]: value });
    }
  }
  if (!(concurrency >= 1)) {
    throw new Nsga2Error('invalid-option', `concurrency is ${concurrency}: needs at least 1`, { concurrency });
  }
  if (maxEvaluations ?? maxGenerations ?? maxSeconds ?? stagnation ?? until) return;
  throw new Nsga2Error(
    'invalid-option',
    'the run would never end: give maxEvaluations, maxGenerations, maxSeconds, stagnation or until',
  );
}
