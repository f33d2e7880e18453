// Typed errors of this package: a code to switch on, a message that names the value and the fix, the values themselves.

/** What went wrong, for programs. */
export type PredictorErrorCode =
  | 'invalid-option'
  | 'invalid-data'
  | 'invalid-state'
  | 'unsupported-version'
  | 'no-std'
  | 'aborted';

/**
 * Error of `@instatune/predictors`.
 *
 * @example
 * ```ts
 * import { PredictorError, ridge } from '@instatune/predictors';
 *
 * let code;
 * try {
 *   ridge().fit([[1, 2], [3]], [1, 2]);
 * } catch (error) {
 *   if (error instanceof PredictorError) code = error.code;
 * }
 * console.log(code === 'invalid-data'); // => true
 * ```
 */
export class PredictorError extends Error {
  override readonly name = 'PredictorError';
  readonly code: PredictorErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: PredictorErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
