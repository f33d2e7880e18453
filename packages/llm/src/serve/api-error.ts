// Errors as clients of the OpenAI API read them: a status, and `{ error: { message, type, param, code } }`.
import { CheckpointError } from '@hip/checkpoints';
import { LlmError, type LlmErrorCode } from '../errors.ts';

/** What an error says beside its message. */
export interface ApiErrorDetails {
  /** Field of the request that is at fault, as a path: `messages.0.content`. */
  readonly param?: string | undefined;
  readonly code?: string | undefined;
  /** Seconds after which it is worth asking again. */
  readonly retryAfter?: number | undefined;
  /** Whether asking again cannot help, though the status alone would make clients do so. */
  readonly isFinal?: boolean | undefined;
}

/** An error with the HTTP status that it is answered with. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly details: ApiErrorDetails;

  constructor(status: number, message: string, details: ApiErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.details = details;
  }
}

/** As the body of an answer, or of a server-sent event. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
};

export function errorBody({ status, message, details }: ApiError): ErrorBody {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  return { error: { message, type, param: details.param ?? null, code: details.code ?? null } };
}

export function errorResponse(error: ApiError, headers: Readonly<Record<string, string>> = {}): Response {
  const { retryAfter, isFinal } = error.details;
  const retry: Readonly<Record<string, string>> = {
    ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
    ...(isFinal ? { 'x-should-retry': 'false' } : {}),
  };
  return Response.json(errorBody(error), { status: error.status, headers: { ...headers, ...retry } });
}

/** Statuses of what the library throws; 500 for what no request should bring about. 499: nobody is there to read it. */
const STATUSES: Readonly<Partial<Record<LlmErrorCode, number>>> = {
  'invalid-input': 400,
  'unsupported-model': 400,
  'context-full': 400,
  'out-of-memory': 503,
  'device-lost': 503,
  busy: 503,
  closed: 503,
  aborted: 499,
};

const CODES: Readonly<Partial<Record<LlmErrorCode, string>>> = { 'context-full': 'context_length_exceeded' };

/** Anything thrown as an answer. What nobody foresaw says nothing of itself. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof LlmError) {
    const status = STATUSES[error.code] ?? 500;
    const code = CODES[error.code] ?? error.code.replaceAll('-', '_');
    const details = { code, param: paramOf(error), retryAfter: error.code === 'out-of-memory' ? 1 : undefined };
    return new ApiError(status, error.message, details, { cause: error });
  }
  if (error instanceof CheckpointError && error.code === 'chat-template') {
    return new ApiError(400, error.message, { param: 'messages', code: 'chat_template' }, { cause: error });
  }
  return new ApiError(500, 'the server failed: see its log', { code: 'internal' }, { cause: error });
}

/** Names that the library has for fields of a request. */
const PARAMS: Readonly<Record<string, string>> = {
  maxTokens: 'max_tokens',
  stopStrings: 'stop',
  topP: 'top_p',
  topK: 'top_k',
  minP: 'min_p',
  repetitionPenalty: 'repetition_penalty',
  schema: 'response_format',
  pattern: 'response_format',
  multipleOf: 'response_format',
  minimum: 'response_format',
};

function paramOf({ details }: LlmError): string | undefined {
  const name = details['param'] ?? details['name'];
  return typeof name === 'string' ? (PARAMS[name] ?? name) : undefined;
}
