// Typed errors of @hip/llm: a code to switch on, a message that names the value and the fix, the values themselves.

/** What went wrong, for programs. */
export type LlmErrorCode =
  | 'invalid-input'
  | 'unsupported-model'
  | 'context-full'
  | 'non-finite-logits'
  | 'out-of-memory'
  | 'device-lost'
  | 'busy'
  | 'closed'
  | 'unsupported'
  | 'saved-damaged'
  | 'saved-mismatch'
  | 'aborted'
  | 'internal';

/**
 * Error of @hip/llm. What a checkpoint's files refuse stays a `CheckpointError`.
 *
 * @example
 * ```ts
 * import { LlmError } from '@hip/llm';
 *
 * const error = new LlmError('context-full', 'the context holds 4096 tokens', { length: 4096, contextTokens: 4096 });
 * console.log(error.code, error.details['contextTokens']); // => context-full 4096
 * ```
 */
export class LlmError extends Error {
  override readonly name = 'LlmError';
  readonly code: LlmErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: LlmErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** Call between steps of long work. @throws LlmError `aborted` when the signal is; its `cause` is the signal's reason */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) {
    throw new LlmError('aborted', `${what} was aborted`, { reason: signal.reason }, { cause: signal.reason });
  }
}
