// Ids in, ids out: a generation without a conversation.
import type { TextTokenizer } from '@hip/checkpoints';
import type { Engine } from '../engine/types.ts';
import { continueTokens } from './continue.ts';
import { HeldTokens } from './held-tokens.ts';
import type { GenerationSettings } from './options.ts';
import { TextPieces } from './text-pieces.ts';

/**
 * Continues a prompt in a sequence of its own.
 *
 * @returns the new ids; a stop id is not among them
 */
export async function generateIds(
  engine: Engine,
  tokenizer: TextTokenizer | undefined,
  prompt: readonly number[],
  settings: GenerationSettings,
): Promise<number[]> {
  const ids: number[] = [];
  if (settings.maxTokens === 0) return ids;
  const pieces =
    tokenizer && settings.stopStrings.length > 0 ? new TextPieces(tokenizer, settings.stopStrings) : undefined;
  using held = new HeldTokens(engine.createSequence(), engine);
  for await (const event of continueTokens(held, prompt, settings)) {
    if (event.type === 'prompt') continue;
    ids.push(event.id);
    if (pieces?.push(event.id).stopped) break;
  }
  return ids;
}
