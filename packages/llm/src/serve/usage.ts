// Counts of an answer, and why it ended, in the API's words.
import type { Usage } from '../chat/types.ts';

/** `usage` of an answer. */
export interface UsageCounts {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** @param usages - of the choices; those of one prompt lie together. @param choices - of a prompt */
export function usageCounts(usages: readonly Usage[], choices: number): UsageCounts {
  // A prompt counts once, however many choices go on from it.
  const first = usages.filter((_, index) => index % choices === 0);
  const sum = (all: readonly Usage[], of: (usage: Usage) => number) =>
    all.reduce((total, usage) => total + of(usage), 0);
  const prompt = sum(first, ({ promptTokens }) => promptTokens);
  const completion = sum(usages, ({ generatedTokens }) => generatedTokens);
  const cached = sum(first, ({ cachedTokens }) => cachedTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

export type ApiFinishReason = 'stop' | 'length' | 'tool_calls';

/**
 * @param calls - of tools, that the answer asks for
 * @param isHeld - whether a grammar brought the answer to its end within its tokens: its calls are whole, and are to be run
 */
export function finishReason({ finishReason: reason }: Usage, calls = 0, isHeld = false): ApiFinishReason {
  if (calls > 0 && isHeld) return 'tool_calls';
  if (reason === 'length' || reason === 'context') return 'length';
  return calls > 0 ? 'tool_calls' : 'stop';
}
