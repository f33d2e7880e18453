// Typed errors of the @hip packages: a code to switch on, a message that names the value and the fix, the values themselves.

/** What went wrong, for programs. */
export type HipErrorCode =
  | 'invalid-config'
  | 'invalid-shape'
  | 'invalid-mask'
  | 'non-finite'
  | 'unsupported'
  | 'out-of-memory'
  | 'device-lost'
  | 'aborted'
  | 'internal';

/**
 * Error of the @hip packages.
 *
 * @example
 * ```ts
 * import { HipError, resolveConfig } from '@hip/mask-search';
 * let field;
 * try {
 *   resolveConfig({ window: -1 });
 * } catch (error) {
 *   if (error instanceof HipError && error.code === 'invalid-config') field = error.details.name;
 * }
 * console.log(field === 'window'); // => true
 * ```
 */
export class HipError extends Error {
  override readonly name = 'HipError';
  readonly code: HipErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: HipErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
