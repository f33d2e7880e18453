// Typed errors of @instatune/supernet: a code to switch on, a message that names the value and the fix, the values themselves.

/** What went wrong, for programs. */
export type SupernetErrorCode =
  | 'file-not-found'
  | 'invalid-safetensors'
  | 'unsupported-dtype'
  | 'invalid-config'
  | 'unsupported-model'
  | 'missing-weight'
  | 'invalid-shape'
  | 'invalid-subnet'
  | 'invalid-input'
  | 'invalid-option'
  | 'invalid-data'
  | 'invalid-checkpoint'
  | 'tokenizer'
  | 'network'
  | 'non-finite'
  | 'out-of-memory'
  | 'unsupported'
  | 'aborted'
  | 'internal';

/**
 * Error of @instatune/supernet.
 *
 * @example
 * ```ts
 * import { loadCheckpoint, SupernetError } from '@instatune/supernet';
 *
 * try {
 *   await loadCheckpoint('./nowhere');
 * } catch (error) {
 *   if (error instanceof SupernetError) console.error(error.code, error.details); // file-not-found { path: … }
 * }
 * ```
 */
export class SupernetError extends Error {
  override readonly name = 'SupernetError';
  readonly code: SupernetErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: SupernetErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** Call between steps of long work. @throws SupernetError `aborted` when the signal is */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) {
    throw new SupernetError('aborted', `${what} was aborted`, { reason: signal.reason }, { cause: signal.reason });
  }
}
