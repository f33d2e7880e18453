// What a run is told: its algorithm, when it ends, how it evaluates.
import type { Nsga3Options } from '../engine/nsga3.ts';
import type { EngineOptions, Nsga2Options } from '../engine/options.ts';
import { Nsga2Error } from '../errors.ts';
import type { OnEvaluationError } from './evaluate.ts';
import type { Generation, RunState } from './generation.ts';
import type { StagnationOptions } from './termination.ts';

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

/** @throws Nsga2Error `invalid-option` for numbers that make no sense, and for a run that would never end */
export function assertEnds(options: EvolveOptions): void {
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
