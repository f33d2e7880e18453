// What the kernels throw, in this package's terms.
import { HipError } from '@hip/mask-search';
import { LlmError, type LlmErrorCode } from '../errors.ts';

const CODES: Readonly<Partial<Record<string, LlmErrorCode>>> = {
  'out-of-memory': 'out-of-memory',
  'device-lost': 'device-lost',
  'invalid-config': 'invalid-input',
  unsupported: 'unsupported-model',
};

/** A HipError as an LlmError with the same message and details; anything else as it is. */
export function translated(error: unknown): unknown {
  if (!(error instanceof HipError)) return error;
  return new LlmError(CODES[error.code] ?? 'internal', error.message, { ...error.details }, { cause: error });
}
