// The loop of every generation: logits to a token, the token to the next logits.
import { Constraint } from '../constrain/constraint.ts';
import { throwIfAborted } from '../errors.ts';
import type { HeldTokens } from './held-tokens.ts';
import { NextToken } from './next-token.ts';
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
  const { maxTokens, signal, stopIds } = settings;
  throwIfAborted(signal, 'the generation');
  const constraint = constraintOf(held, prompt, settings);
  const next = new NextToken(held, constraint ? { ...settings, logitsHook: banning(constraint, settings) } : settings);
  yield { type: 'prompt', reused: await next.read(prompt) };
  const ids = [...prompt];
  const seen = new Set(prompt);
  try {
    while (ids.length - prompt.length < maxTokens) {
      throwIfAborted(signal, 'the generation');
      if (constraint?.isDone) return 'complete';
      const token = await next.choose({ ids, seen, generated: ids.length - prompt.length });
      if (stopIds.has(token.id)) return 'stop-id';
      constraint?.accept(token.id);
      ids.push(token.id);
      seen.add(token.id);
      settings.onToken?.(token.id, token);
      yield { type: 'token', ...token };
      if (constraint?.isDone) return 'complete';
      const left = maxTokens - (ids.length - prompt.length);
      if (left <= 0) break;
      if (ids.length > held.contextTokens) return 'context';
      await next.append(ids, left);
    }
    return 'length';
  } finally {
    next.end();
  }
}

function constraintOf(
  { contextTokens }: HeldTokens,
  { length }: readonly number[],
  { grammar, stopIds, maxTokens }: GenerationSettings,
): Constraint | undefined {
  // The last token need not be held.
  return grammar && new Constraint(grammar, stopIds, Math.min(maxTokens, contextTokens - length + 1));
}

/** The caller's hook, and then what the grammar bans. */
function banning(constraint: Constraint, { logitsHook }: GenerationSettings): GenerationSettings['logitsHook'] {
  return (logits, context) => {
    logitsHook?.(logits, context);
    constraint.ban(logits, context.generated);
  };
}
