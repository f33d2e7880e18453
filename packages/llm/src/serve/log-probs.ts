// Log-probabilities of tokens, in the forms of the two endpoints.
import type { TextTokenizer } from '@hip/checkpoints';
import type { GeneratedToken } from '../generation/options.ts';

/** A token of `logprobs.content`. */
export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
  readonly top_logprobs?: readonly TokenLogprob[];
}

/** What clients take for a probability of 0. */
const LEAST = -9999;

/** As `logprobs.content` of a chat completion. */
export function chatLogprobs(tokens: readonly GeneratedToken[], tokenizer: TextTokenizer): TokenLogprob[] {
  return tokens.flatMap(({ id, logProbabilities }) => {
    if (!logProbabilities) return [];
    const top = logProbabilities.top.map((one) => entry(tokenizer, one.id, one.logProbability));
    return [{ ...entry(tokenizer, id, logProbabilities.logProbability), top_logprobs: top }];
  });
}

/** `logprobs` of a completion. */
export interface TextLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
  readonly text_offset: readonly number[];
}

/** @param offset - characters before the first token */
export function textLogprobs(
  tokens: readonly GeneratedToken[],
  tokenizer: TextTokenizer,
  offset: number,
): TextLogprobs {
  const entries = chatLogprobs(tokens, tokenizer);
  let at = offset;
  return {
    tokens: entries.map(({ token }) => token),
    token_logprobs: entries.map(({ logprob }) => logprob),
    top_logprobs: entries.map(({ top_logprobs = [] }) =>
      Object.fromEntries(top_logprobs.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: entries.map(({ token }) => {
      const start = at;
      at += token.length;
      return start;
    }),
  };
}

function entry(tokenizer: TextTokenizer, id: number, logProbability: number): TokenLogprob {
  const token = tokenizer.decode([id], { skipSpecialTokens: false, cleanUpSpaces: false });
  // Part of a character decodes to U+FFFD, and has bytes that its text does not tell.
  const bytes = token.includes('\uFFFD') ? null : [...new TextEncoder().encode(token)];
  return { token, logprob: Math.max(LEAST, logProbability), bytes };
}
