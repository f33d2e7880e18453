// Patterns of tokenizer.json as regular expressions: compiled as @huggingface/tokenizers does, refused where they could run for ever.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import { SplitPreTokenizer } from './library.ts';
import { backtracking } from './safe-pattern.ts';

/** An object of tokenizer.json. */
export type Part = Readonly<Record<string, unknown>>;

/** White space as Unicode and Rust have it: JavaScript's `\s` takes U+FEFF for one, and not U+0085. */
export const SPACE = '\\p{White_Space}';

/** An error about tokenizer.json. */
export function wrong(what: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown): CheckpointError {
  return new CheckpointError('tokenizer', `tokenizer.json: ${what}`, details, { cause });
}

/**
 * A pattern (`{ String }` or `{ Regex }`, in Oniguruma's syntax), with the flags `gu`.
 *
 * @throws CheckpointError `tokenizer` for none, and for one that backtracks
 */
export function compilePattern(value: unknown): RegExp {
  const { String: text, Regex: source } = Object(value) as { readonly String?: unknown; readonly Regex?: unknown };
  if (typeof text === 'string') return new RegExp(text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`), 'gu');
  if (typeof source !== 'string') throw wrong(`the pattern ${quoted(value)} is neither a String nor a Regex`);
  let pattern: RegExp;
  try {
    ({ pattern } = new SplitPreTokenizer({ type: 'Split', pattern: { Regex: source } }));
  } catch (cause) {
    throw wrong(`the pattern ${quoted(source)} cannot be read`, { pattern: source }, cause);
  }
  const reason = backtracking(pattern.source);
  if (reason === undefined) return pattern;
  const message = `the pattern ${quoted(source)} is not run, since its time may grow without bounds: ${reason}`;
  throw wrong(message, { pattern: source, reason });
}

/** An object of tokenizer.json. @throws CheckpointError `tokenizer` for anything else */
export function requirePart(value: unknown, what: string): Part {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Part;
  throw wrong(`${what} is ${quoted(value)}, expected an object`);
}

/** A list of objects under a key. @throws CheckpointError `tokenizer` for anything else */
export function requireParts(part: Part, key: string): readonly Part[] {
  const list = part[key] ?? [];
  if (!Array.isArray(list)) throw wrong(`${key} is ${quoted(list)}, expected a list`);
  return (list as readonly unknown[]).map((entry) => requirePart(entry, `an entry of ${key}`));
}

/** The text that a Replace writes. @throws CheckpointError `tokenizer` for anything else */
export function contentOf(part: Part): string {
  const { content = '' } = part;
  if (typeof content === 'string') return content;
  throw wrong(`content is ${quoted(content)}, expected a text`);
}
