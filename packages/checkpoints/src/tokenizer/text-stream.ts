// Text of tokens as they come: a character of several tokens is given when its last one is there.
import type { DecodeOptions, TextTokenizer } from './tokenizer.ts';

/** Gives text token by token; all pieces together are what `decode` gives for all tokens. */
export interface TextStream {
  /** The text that the token makes certain; '' while a character is not whole. */
  push(id: number): string;
  /** What was held back. The stream starts anew. */
  end(): string;
}

/** What bytes that are no character (yet) decode to. */
const REPLACEMENT = '\uFFFD';
/** A space and what decides whether it is taken out: ` n ' t` at most. */
const DECIDING = 6;

/**
 * Decodes a stream of tokens.
 *
 * @example
 * ```ts
 * import { createTextStream, folderFiles, loadTokenizer } from '@hip/checkpoints';
 *
 * const tokenizer = await loadTokenizer(folderFiles('./books-lm-6m'));
 * const stream = createTextStream(tokenizer!);
 * const ids = tokenizer!.encode('naïve 🙂'); // more tokens than characters
 * console.log(ids.map((id) => stream.push(id)).join('') + stream.end()); // naïve 🙂
 * ```
 */
export function createTextStream(tokenizer: TextTokenizer, options: DecodeOptions = {}): TextStream {
  const cleansUp = options.cleanUpSpaces ?? tokenizer.cleansUpSpaces ?? false;
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, options);
  return cleansUp ? wholeText(decode) : lastTokens(decode);
}

type Decode = (ids: readonly number[]) => string;

/** What a token adds hangs on the tokens just before it only: those of the last piece are decoded again with it. */
function lastTokens(decode: Decode): TextStream {
  let ids: number[] = [];
  let given = 0;
  const next = (isEnd: boolean): string => {
    const [before, after] = [decode(ids.slice(0, given)), decode(ids)];
    if (after.length <= before.length || (after.endsWith(REPLACEMENT) && !isEnd)) return '';
    ids = ids.slice(given);
    given = ids.length;
    return after.slice(before.length);
  };
  return {
    push: (id) => {
      ids.push(id);
      return next(false);
    },
    end: () => {
      const rest = next(true);
      [ids, given] = [[], 0];
      return rest;
    },
  };
}

/** Where spaces are cleaned up what comes may take one out again: the last few characters are held back from a space on. */
function wholeText(decode: Decode): TextStream {
  let ids: number[] = [];
  let given = 0;
  const next = (end: (text: string) => number): string => {
    const text = decode(ids);
    const to = Math.max(given, end(text));
    const piece = text.slice(given, to);
    given = to;
    return piece;
  };
  const certain = (text: string): number => {
    const whole = text.replace(/\uFFFD+$/u, '');
    const space = whole.indexOf(' ', Math.max(0, whole.length - DECIDING));
    return space >= 0 ? space : whole.length;
  };
  return {
    push: (id) => {
      ids.push(id);
      return next(certain);
    },
    end: () => {
      const rest = next((text) => text.length);
      [ids, given] = [[], 0];
      return rest;
    },
  };
}
