// A text as at most so many tokens, a hidden fact among them.
import type { TextTokenizer } from '@hip/checkpoints';
import { PlaygroundError } from '../rpc/protocol.ts';
import { placeFor } from './pass-key.ts';
import type { PassKey } from './protocol.ts';

/** Characters that are tokenized for each token that is wanted, first: a whole library need not be tokenized for its first page. */
const CHARACTERS = 8;
/** Tokens without which there is nothing to measure. */
const FEWEST = 16;

/**
 * The first tokens of a text.
 *
 * @throws PlaygroundError `text-too-short`
 */
export function textTokens(
  text: string,
  tokenizer: Pick<TextTokenizer, 'encode' | 'decode'>,
  { tokens, passKey }: { readonly tokens: number; readonly passKey?: PassKey | undefined },
): number[] {
  const encode = (part: string): number[] => tokenizer.encode(part, { addSpecialTokens: false });
  const fact = passKey ? encode(passKey.sentence).length : 0;
  const prose = firstTokens(text, tokenizer, tokens - fact);
  if (prose.length < FEWEST) {
    const message = `the text has ${prose.length} tokens: give at least ${FEWEST}, some pages to see a difference`;
    throw new PlaygroundError('text-too-short', message);
  }
  if (!passKey) return prose;
  const read = tokenizer.decode(prose);
  const at = placeFor(read, passKey.depth);
  return [...encode(read.slice(0, at) + passKey.sentence), ...encode(read.slice(at))].slice(0, tokens);
}

/** At most so many of them. */
export function firstTokens(text: string, tokenizer: Pick<TextTokenizer, 'encode'>, tokens: number): number[] {
  for (let characters = CHARACTERS * tokens; ; characters *= 2) {
    const ids = tokenizer.encode(text.slice(0, characters), { addSpecialTokens: false });
    if (ids.length >= tokens || characters >= text.length) return ids.slice(0, tokens);
  }
}
