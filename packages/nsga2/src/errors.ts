// Typed errors of this package: a code to switch on, a message that names the value and the fix, the values themselves.
import type { RunState } from './run/generation.ts';

/** What went wrong, for programs. */
export type Nsga2ErrorCode =
  | 'invalid-option'
  | 'invalid-variable'
  | 'invalid-problem'
  | 'invalid-genes'
  | 'invalid-evaluation'
  | 'evaluation-failed'
  | 'invalid-points'
  | 'invalid-state'
  | 'unknown-candidate'
  | 'aborted';

/**
 * Error of `@instatune/nsga2`. One that ended a run has the run's `state`, with everything that was evaluated: pass it as
 * `resume` once the cause is mended.
 *
 * @example
 * ```ts
 * import { Nsga2Error, real } from '@instatune/nsga2';
 *
 * try {
 *   real(1, 0);
 * } catch (error) {
 *   if (error instanceof Nsga2Error) console.log(error.code, error.details); // invalid-variable { lower: 1, upper: 0 }
 * }
 * ```
 */
export class Nsga2Error extends Error {
  override readonly name = 'Nsga2Error';
  readonly code: Nsga2ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: Nsga2ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** `details.state`: the {@link RunState} of a run that this error ended. Undefined for errors of anything else. */
  get state(): RunState | undefined {
    return this.details['state'] as RunState | undefined;
  }
}
