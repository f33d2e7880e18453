// What of a conversation is saved beside its sequence, and a conversation from it.
import type { ChatMessage } from '@hip/checkpoints';
import { holdTokens, type ModelParts } from '../model/parts.ts';
import { readSaved, type SavedHead } from '../saved/document.ts';
import { damaged, type ByteInput } from '../saved/frames.ts';
import { Chat, type ChatState, type Turn } from './chat.ts';
import type { ChatOptions } from './types.ts';

/** Options of `LanguageModel.restore`. */
export type RestoreOptions = Pick<ChatOptions, 'template' | 'tools' | 'variables' | 'defaults'>;

/** Messages, turns and plain options; functions are left out. */
export function ownOf(
  { messages, turns, document }: ChatState,
  { tools, variables, defaults }: ChatOptions,
): SavedHead {
  return { kind: 'chat', messages, turns, document: document ?? null, tools, variables, defaults };
}

/** @param expected - tokens that it must hold. @throws see `LanguageModel.restore` */
export async function restoreChat(
  parts: ModelParts,
  input: ByteInput,
  options: RestoreOptions,
  expected?: readonly number[],
): Promise<Chat> {
  const { sequence, tokens, own } = await readSaved(parts.engine, input, (given, held) => {
    if (expected && (expected.length !== held.length || expected.some((id, i) => id !== held[i]))) {
      throw damaged('it holds another text');
    }
    return stateOf(given, held);
  });
  try {
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    const held = holdTokens(parts, sequence, tokens);
    return new Chat(parts, { ...own.options, ...given }, held, own.state);
  } catch (error) {
    sequence.dispose();
    throw error;
  }
}

/** @throws LlmError `saved-damaged` where it is no conversation */
function stateOf(
  own: SavedHead,
  tokens: readonly number[],
): { readonly state: ChatState; readonly options: RestoreOptions } {
  const { kind, messages, turns, document, tools, variables, defaults } = own;
  const isWhole =
    kind === 'chat' &&
    Array.isArray(messages) &&
    messages.every((message) => typeof Object(message).role === 'string') &&
    Array.isArray(turns) &&
    turns.every(
      (turn) => isCount(Object(turn).messages, messages.length) && isCount(Object(turn).tokens, tokens.length),
    ) &&
    (document === null || typeof document === 'string');
  if (!isWhole) throw damaged('what was said is missing');
  const state = {
    messages: messages as readonly ChatMessage[],
    turns: turns as readonly Turn[],
    document: (document as string | null) ?? undefined,
  };
  return { state, options: { tools, variables, defaults } as RestoreOptions };
}

function isCount(value: unknown, most: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most;
}
