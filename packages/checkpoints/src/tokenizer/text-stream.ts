// Text of tokens as they come: a character of several tokens is given when its last one is there.
import { certainLength, cleanUpSpaces } from './clean-up.ts';
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

/**
 * Decodes a stream of tokens. Where spaces are cleaned up the last word is held back, since what comes may take its space out.
 *
 * @example
 * ```ts
 * import { createTextStream, folderFiles, loadTokenizer } from '@hip/checkpoints';
 *
 * const tokenizer = await loadTokenizer(folderFiles('./books-lm-6m'));
 * const stream = createTextStream(tokenizer!);
 * const ids = tokenizer!.encode('naïve 🙂'); // more tokens than characters
 * console.log(ids.map((id) => stream.push(id)).join('') + stream.end()); // => naïve 🙂
 * ```
 */
export function createTextStream(tokenizer: TextTokenizer, options: DecodeOptions = {}): TextStream {
  const stream = wholeCharacters((ids) => tokenizer.decode(ids, { ...options, cleanUpSpaces: false }));
  return (options.cleanUpSpaces ?? tokenizer.cleansUpSpaces) ? cleanedUp(stream) : stream;
}

/** What a token adds hangs on the tokens just before it only: those of the last piece are decoded again with it. */
function wholeCharacters(decode: (ids: readonly number[]) => string): TextStream {
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

function cleanedUp(stream: TextStream): TextStream {
  let held = '';
  const take = (length: number): string => {
    const piece = cleanUpSpaces(held.slice(0, length));
    held = held.slice(length);
    return piece;
  };
  return {
    push: (id) => {
      held += stream.push(id);
      return take(certainLength(held));
    },
    end: () => {
      held += stream.end();
      return take(held.length);
    },
  };
}
