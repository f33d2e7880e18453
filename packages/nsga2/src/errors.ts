// Typed errors of this package: a code to switch on, a message that names the value and the fix, the values themselves.

/** What went wrong, for programs. */
export type Nsga2ErrorCode =
  | 'invalid-option'
  | 'invalid-variable'
  | 'invalid-problem'
  | 'invalid-genes'
  | 'invalid-evaluation'
  | 'invalid-points'
  | 'invalid-state'
  | 'unknown-candidate'
  | 'aborted';

/**
 * Error of `@instatune/nsga2`.
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
}
