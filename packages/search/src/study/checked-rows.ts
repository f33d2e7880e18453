// Cells of a study's file as what they mean, each checked: a damaged file is said to be one, whatever it breaks.
import type { SQLOutputValue } from 'node:sqlite';
import * as v from 'valibot';
import { SearchError, messageOf } from '../errors.ts';

export const record = v.record(v.string(), v.unknown());
/** What was measured: numbers, `NaN` and infinities as words, null. */
export const valuesSchema = v.record(
  v.string(),
  v.nullable(v.union([v.number(), v.boolean(), v.string(), v.array(v.unknown()), record])),
);
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const optionalText = v.optional(v.string());
export const optionalNumber = v.optional(v.pipe(v.number(), v.finite()));

export const number = (value: SQLOutputValue | undefined) => (value === null ? Number.NaN : Number(value));

export function corrupt(path: string, what: string, reason: string, cause?: unknown): SearchError {
  return new SearchError(
    'corrupt-study',
    `${path}: ${what} ${reason.slice(0, 200)}: restore a copy or start a new study`,
    { path, what },
    cause === undefined ? undefined : { cause },
  );
}

export function parse(path: string, text: SQLOutputValue | undefined, what: string): unknown {
  try {
    return JSON.parse(String(text)) as unknown;
  } catch (error) {
    throw corrupt(path, what, `is not JSON (${messageOf(error)})`, error);
  }
}

export function checked<S extends v.GenericSchema>(
  path: string,
  schema: S,
  value: unknown,
  what: string,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw corrupt(path, what, `cannot be (${v.getDotPath(issue) ?? 'itself'}: ${issue.message})`);
}
