// The loop of every generation: logits to a token, the token to the next logits.
import { logProbabilities, penalizeRepetition } from '@hip/checkpoints/generation';
import { throwIfAborted } from '../errors.ts';
import { asLlmError } from './failures.ts';
import type { HeldTokens } from './held-tokens.ts';
import type { FinishReason, GeneratedToken, GenerationSettings } from './options.ts';

/** What {@link continueTokens} says when the prompt has been read. */
export interface PromptRead {
  readonly type: 'prompt';
  /** Tokens of it that were in the cache. */
  readonly reused: number;
}

/** What {@link continueTokens} says of every token. */
export interface TokenChosen extends GeneratedToken {
  readonly type: 'token';
}

/**
 * Reads a prompt and goes on from it, token by token. Whoever takes the tokens may end it between two of them; the last one is in the
 * cache only once the next is asked for.
 *
 * @returns why it ended by itself
 * @throws LlmError `context-full`, `non-finite-logits` with the position, `aborted`, what the engine throws
 */
export async function* continueTokens(
  held: HeldTokens,
  prompt: readonly number[],
  settings: GenerationSettings,
): AsyncGenerator<PromptRead | TokenChosen, FinishReason, void> {
  const { maxTokens, signal, stopIds, onProgress } = settings;
  throwIfAborted(signal, 'the generation');
  let { logits, reused } = await held.hold(prompt, { signal, onProgress });
  yield { type: 'prompt', reused };
  const ids = [...prompt];
  const seen = new Set(prompt);
  while (ids.length - prompt.length < maxTokens) {
    throwIfAborted(signal, 'the generation');
    const token = chooseToken(logits, { ids, seen, generated: ids.length - prompt.length }, settings);
    if (stopIds.has(token.id)) return 'stop-id';
    ids.push(token.id);
    seen.add(token.id);
    settings.onToken?.(token.id, token);
    yield { type: 'token', ...token };
    if (ids.length - prompt.length >= maxTokens) break;
    if (held.isFull) return 'context';
    logits = await held.append([token.id], { signal });
  }
  return 'length';
}

/** The next token: penalty, hook, sampling, in that order. Changes `logits`. */
function chooseToken(
  logits: Float32Array,
  state: { readonly ids: readonly number[]; readonly seen: ReadonlySet<number>; readonly generated: number },
  { penalty, choose, logitsHook, logProbabilities: top }: GenerationSettings,
): GeneratedToken {
  try {
    const own = top === undefined ? undefined : logits.slice();
    penalizeRepetition(logits, state.seen, penalty);
    logitsHook?.(logits, { ids: state.ids, generated: state.generated });
    const id = choose(logits);
    return own ? { id, logProbabilities: logProbabilities(own, id, top) } : { id };
  } catch (error) {
    throw asLlmError(error, { position: state.ids.length - 1 });
  }
}
