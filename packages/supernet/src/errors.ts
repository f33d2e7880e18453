// Typed errors of @instatune/supernet: a code to switch on, a message that names the value and the fix, the values themselves.
import { CheckpointError, type CheckpointErrorCode } from '@hip/checkpoints';

/** What went wrong, for programs. */
export type SupernetErrorCode =
  | CheckpointErrorCode
  | 'invalid-subnet'
  | 'invalid-data'
  | 'invalid-checkpoint'
  | 'out-of-memory';

/**
 * Error of @instatune/supernet. `instanceof` also says yes to a {@link CheckpointError}, which what reads checkpoints throws: its code
 * and details are of the same kind.
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

  static override [Symbol.hasInstance](value: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(this, value) || value instanceof CheckpointError;
  }
}

/** Call between steps of long work. @throws SupernetError `aborted` when the signal is */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) {
    throw new SupernetError('aborted', `${what} was aborted`, { reason: signal.reason }, { cause: signal.reason });
  }
}
