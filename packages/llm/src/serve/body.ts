// A request's body: JSON of a bounded size, and of the form that the endpoint reads.
import * as v from 'valibot';
import { ApiError } from './api-error.ts';

/** @param limit - bytes @throws ApiError 400 for what is no JSON, 413 for too much, 415 for another type */
export async function readJson(request: Request, limit: number): Promise<unknown> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/json\b/i.test(type)) {
    throw new ApiError(415, `the body is ${JSON.stringify(type)}: send application/json`, {
      code: 'unsupported_media_type',
    });
  }
  const text = new TextDecoder().decode(await readBytes(request, limit));
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ApiError(400, `the body is no JSON: ${reason}`, { code: 'invalid_json' }, { cause });
  }
}

async function readBytes(request: Request, limit: number): Promise<Uint8Array> {
  const refuse = (): never => {
    throw new ApiError(413, `the body is longer than ${limit} bytes`, { code: 'body_too_large' });
  };
  if (Number(request.headers.get('content-length') ?? 0) > limit) refuse();
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) break;
    length += part.value.length;
    if (length > limit) {
      await reader?.cancel();
      refuse();
    }
    parts.push(part.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** @throws ApiError 400 that names the first field at fault */
export function parseRequest<T extends v.GenericSchema>(schema: T, body: unknown): v.InferOutput<T> {
  const result = v.safeParse(schema, body, { abortPipeEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const { path, message } = fault(issue);
  const param = path.length > 0 ? path.join('.') : undefined;
  throw new ApiError(400, `${param ?? 'the body'}: ${message}`, { param, code: 'invalid_value' });
}

/** Where the fault lies: of alternatives that all fail, in the one that came furthest. */
function fault(issue: v.BaseIssue<unknown>): { readonly path: readonly string[]; readonly message: string } {
  const path = (issue.path ?? []).map(({ key }) => String(key));
  const [deepest] = (issue.issues ?? []).map(fault).sort((a, b) => b.path.length - a.path.length);
  if (!deepest || deepest.path.length === 0) return { path, message: issue.message };
  return { path: [...path, ...deepest.path], message: deepest.message };
}
