// Tokens that are found in texts before anything is cut: leftmost, the longest first, whole words only where they say so.
import { quoted } from '../quote.ts';
import { trimBack, trimFront } from './normalizers.ts';
import type { Normalize } from './normalizers.ts';
import { requirePart, wrong } from './patterns.ts';

/** A token of `added_tokens`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly isSingleWord: boolean;
  readonly takesFront: boolean;
  readonly takesBack: boolean;
  readonly isNormalized: boolean;
}

/** A piece of a text: a token, or what is between two. */
export type Section = { readonly id: number } | { readonly text: string; readonly isFirst: boolean };

/** Largest id that is read. */
export const MAX_ID = 2 ** 31 - 1;

const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]/u;

/** Reads `added_tokens`. @throws CheckpointError `tokenizer` for entries that are none */
export function readAddedTokens(json: unknown): AddedToken[] {
  if (json !== undefined && json !== null && !Array.isArray(json))
    throw wrong(`added_tokens is ${quoted(json)}, expected a list`);
  return ((json ?? []) as readonly unknown[]).map((entry) => {
    const token = requirePart(entry, 'an entry of added_tokens');
    const { id, content, special = false } = token;
    if (!isId(id))
      throw wrong(`the added token ${quoted(content)} has the id ${quoted(id)}, expected an integer in 0 … ${MAX_ID}`);
    if (typeof content !== 'string') throw wrong(`an added token is ${quoted(content)}, expected a text`);
    return {
      id: id as number,
      content,
      isSingleWord: token['single_word'] === true,
      takesFront: token['lstrip'] === true,
      takesBack: token['rstrip'] === true,
      isNormalized: (token['normalized'] ?? special !== true) === true,
    };
  });
}

/** Whether a value can be a token's id. */
export function isId(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ID;
}

/** Finds tokens in texts. @param normalize - what their contents go through first */
export function tokenFinder(tokens: readonly AddedToken[], normalize: Normalize = (text) => text) {
  const byText = new Map(tokens.map((token) => [normalize(token.content), token]));
  byText.delete('');
  /** By first character: the lengths that tokens beginning so have, the longest first. */
  const lengths = new Map<string, number[]>();
  for (const text of byText.keys()) {
    const known = lengths.get(text[0] as string) ?? [];
    if (!known.includes(text.length))
      lengths.set(
        text[0] as string,
        [...known, text.length].sort((a, b) => b - a),
      );
  }
  return (text: string, isFirst: boolean): Section[] => {
    const sections: Section[] = [];
    let start = 0;
    const between = (end: number, next: string | undefined) => {
      const part = text.slice(start, end);
      const kept = next === 'front' ? trimBack(part) : part;
      if (kept !== '') sections.push({ text: kept, isFirst: isFirst && start === 0 });
    };
    for (let at = 0; at < text.length;) {
      const length = lengths.get(text[at] as string)?.find((some) => byText.has(text.slice(at, at + some)));
      if (length === undefined) {
        at++;
        continue;
      }
      const token = byText.get(text.slice(at, at + length)) as AddedToken;
      const end = at + length;
      if (!token.isSingleWord || isWordOfItsOwn(text, at, end)) {
        between(at, token.takesFront ? 'front' : undefined);
        sections.push({ id: token.id });
        start = token.takesBack ? text.length - trimFront(text.slice(end)).length : end;
      }
      at = Math.max(end, start);
    }
    between(text.length, undefined);
    return sections;
  };
}

function isWordOfItsOwn(text: string, start: number, end: number): boolean {
  // The character before may take two units.
  const before = Array.from(text.slice(Math.max(0, start - 2), start)).at(-1) ?? '';
  const after = end < text.length ? String.fromCodePoint(text.codePointAt(end) as number) : '';
  return !WORD.test(before) && !WORD.test(after);
}
