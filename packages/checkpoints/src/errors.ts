// Typed errors of @hip/checkpoints: a code to switch on, a message that names the value and the fix, the values themselves.

/** What went wrong, for programs. */
export type CheckpointErrorCode =
  | 'file-not-found'
  | 'file-access'
  | 'invalid-safetensors'
  | 'invalid-gguf'
  | 'unsupported-dtype'
  | 'invalid-config'
  | 'unsupported-model'
  | 'missing-weight'
  | 'invalid-shape'
  | 'tokenizer'
  | 'chat-template'
  | 'network'
  | 'cache-full'
  | 'invalid-option'
  | 'invalid-input'
  | 'non-finite'
  | 'unsupported'
  | 'aborted'
  | 'internal';

/**
 * Error of @hip/checkpoints.
 *
 * @example
 * ```ts
 * import { CheckpointError, openCheckpoint } from '@hip/checkpoints';
 *
 * try {
 *   await openCheckpoint('./nowhere');
 * } catch (error) {
 *   if (error instanceof CheckpointError) console.error(error.code, error.details); // file-not-found { path: … }
 * }
 * ```
 */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly code: CheckpointErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: CheckpointErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** Call between steps of long work. @throws CheckpointError `aborted` when the signal is */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) {
    throw new CheckpointError('aborted', `${what} was aborted`, { reason: signal.reason }, { cause: signal.reason });
  }
}
