// What choosing tokens throws, in this package's terms.
import { CheckpointError } from '@hip/checkpoints';
import { LlmError, type LlmErrorCode } from '../errors.ts';

const CODES: Readonly<Partial<Record<string, LlmErrorCode>>> = {
  'invalid-option': 'invalid-input',
  'invalid-input': 'invalid-input',
  'non-finite': 'non-finite-logits',
};

/** An error of `@hip/checkpoints/generation` as an LlmError with the same message and details; anything else as it is. */
export function asLlmError(error: unknown, details: Readonly<Record<string, unknown>> = {}): unknown {
  const code = error instanceof CheckpointError ? CODES[error.code] : undefined;
  if (!code) return error;
  const { message, details: values } = error as CheckpointError;
  return new LlmError(code, message, { ...values, ...details }, { cause: error });
}
