// Typed errors of @hip/onnx: a code to switch on, a message that names the value and the fix, the values themselves.

/** What went wrong, for programs. */
export type OnnxErrorCode =
  | 'invalid-model'
  | 'invalid-graph'
  | 'missing-data'
  | 'file-not-found'
  | 'file-access'
  | 'too-large'
  | 'invalid-option'
  | 'unsupported'
  | 'aborted';

/**
 * Error of @hip/onnx.
 *
 * @example
 * ```ts
 * import { OnnxError, openOnnxModel } from '@hip/onnx/model';
 *
 * try {
 *   await openOnnxModel('./nowhere.onnx');
 * } catch (error) {
 *   if (error instanceof OnnxError) console.log(error.code, error.details['name']); // => file-not-found nowhere.onnx
 * }
 * ```
 */
export class OnnxError extends Error {
  override readonly name = 'OnnxError';
  readonly code: OnnxErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: OnnxErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** Call between steps of long work. @throws OnnxError `aborted` when the signal is */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) {
    throw new OnnxError('aborted', `${what} was aborted`, { reason: signal.reason }, { cause: signal.reason });
  }
}

/** A value that a caller handed over by mistake, for a message: the name of its class, or the value. */
export function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return value.constructor?.name ?? 'an object';
  return typeof value === 'string' ? `'${value}'` : String(value);
}
