// Ids in, ids out: a generation without a conversation.
import { continueTokens } from './continue.ts';
import { holdTokens, type ModelParts } from '../model/parts.ts';
import type { GenerationSettings } from './options.ts';
import { TextPieces } from './text-pieces.ts';

/**
 * Continues a prompt in a sequence of its own.
 *
 * @returns the new ids; a stop id is not among them
 */
export async function generateIds(
  parts: ModelParts,
  prompt: readonly number[],
  settings: GenerationSettings,
): Promise<number[]> {
  const { tokenizer } = parts;
  const ids: number[] = [];
  if (settings.maxTokens === 0) return ids;
  const pieces =
    tokenizer && settings.stopStrings.length > 0 ? new TextPieces(tokenizer, settings.stopStrings) : undefined;
  using held = holdTokens(parts);
  for await (const event of continueTokens(held, prompt, settings)) {
    if (event.type === 'prompt') continue;
    ids.push(event.id);
    if (pieces?.push(event.id).stopped) break;
  }
  return ids;
}
