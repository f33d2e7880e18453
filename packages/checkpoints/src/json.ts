// JSON of files that nobody vouches for: a byte order mark is skipped, nesting is limited, a key that stands twice is found.
import { CheckpointError } from './errors.ts';
import { brief, quoted } from './quote.ts';

/** Levels of nesting that are read: what Rust's serde_json allows. */
export const DEEPEST_JSON = 128;

/** What is wrong with a text that is meant to be JSON. */
export interface JsonFlaw {
  readonly kind: 'depth' | 'duplicate' | 'syntax';
  /** In words, to follow a file's name. */
  readonly reason: string;
  /** Of a duplicate: the key, and how deep its object lies (1: the outermost). */
  readonly key?: string;
  readonly depth?: number;
  readonly cause?: unknown;
}

/** A text without the mark that some editors put in front. */
export function withoutMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

/**
 * Parses JSON in one pass over its characters and one of `JSON.parse`.
 *
 * @param isUnique - whether a key that an object has twice is a flaw; JSON.parse keeps the last silently
 */
export function parseJson(
  text: string,
  isUnique = false,
): { readonly value: unknown } | { readonly flaw: JsonFlaw; readonly value?: undefined } {
  const plain = withoutMark(text);
  const flaw = structuralFlaw(plain, isUnique);
  if (flaw) return { flaw };
  try {
    return { value: JSON.parse(plain) };
  } catch (cause) {
    return { flaw: { kind: 'syntax', reason: 'is not JSON', cause } };
  }
}

/** A JSON object out of a file's text. @throws CheckpointError `invalid-config` */
export function parseObject(text: string, file: string, name: string): Record<string, unknown> {
  const { value, ...rest } = parseJson(text);
  if ('flaw' in rest) {
    const { reason, kind, cause } = rest.flaw;
    throw new CheckpointError('invalid-config', `${brief(file)} ${reason}`, { name, kind }, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CheckpointError('invalid-config', `${brief(file)} is no JSON object but ${quoted(value)}`, { name });
}

const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COMMA] = Array.from('"\\{}[],', (character) =>
  character.charCodeAt(0),
) as [number, number, number, number, number, number, number];

function structuralFlaw(text: string, isUnique: boolean): JsonFlaw | undefined {
  const isObject: boolean[] = [];
  // One set a level, emptied when an object of that level begins.
  const seen: Set<string>[] = [];
  let depth = 0;
  let expectsKey = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (end < 0) return undefined;
      if (expectsKey && isUnique) {
        const key = keyOf(text.slice(at, end + 1));
        const keys = seen[depth] as Set<string>;
        if (key !== undefined && keys.has(key)) {
          return { kind: 'duplicate', reason: `has the key ${quoted(key)} twice in one object`, key, depth };
        }
        if (key !== undefined) keys.add(key);
      }
      expectsKey = false;
      at = end;
    } else if (code === OPEN || code === OPEN_LIST) {
      depth++;
      if (depth > DEEPEST_JSON) return { kind: 'depth', reason: `is nested deeper than ${DEEPEST_JSON} levels` };
      isObject[depth] = expectsKey = code === OPEN;
      if (expectsKey && isUnique) (seen[depth] ??= new Set()).clear();
    } else if (code === CLOSE || code === CLOSE_LIST) {
      depth--;
      expectsKey = false;
    } else if (code === COMMA) expectsKey = isObject[depth] ?? false;
  }
  return undefined;
}

/** Place of the quote that ends the string beginning at `at`; −1 where it does not end. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}

function keyOf(literal: string): string | undefined {
  if (!literal.includes('\\')) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined;
  }
}
