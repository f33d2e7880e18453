// A turn of a conversation in both lanes at once: they take turns, piece by piece, each by its own clock.
import type { Answer } from '@hip/llm';
import type { Lane } from './lane.ts';
import type { ChatAnswer, ChatEvent, ChatInput } from './protocol.ts';

interface Turn {
  readonly lane: Lane;
  readonly answer: Answer;
  readonly pieces: AsyncIterator<string, void>;
  readonly text: string[];
  ms: number;
  firstTokenMs: number | undefined;
  isDone: boolean;
}

/** Asks every lane. An abort keeps what was said so far. */
export async function converse(
  lanes: readonly Lane[],
  input: ChatInput,
  { signal, emit }: { readonly signal: AbortSignal; readonly emit: (event: ChatEvent) => void },
): Promise<ChatAnswer[]> {
  const turns: Turn[] = [];
  for (const lane of lanes) turns.push(await begin(lane, input, signal, emit));
  try {
    while (turns.some(({ isDone }) => !isDone)) for (const turn of turns) await take(turn, emit);
  } finally {
    for (const { pieces, isDone } of turns) if (!isDone) await pieces.return?.();
  }
  return turns.map(({ lane, answer, text, firstTokenMs, ms }): ChatAnswer => {
    const { promptTokens = 0, generatedTokens = 0, generateMs = 0, finishReason = 'failed' } = answer.usage ?? {};
    return {
      lane: lane.name,
      text: text.join(''),
      firstTokenMs: firstTokenMs ?? ms,
      tokensPerSecond: generateMs > 0 ? (1000 * generatedTokens) / generateMs : 0,
      promptTokens,
      finishReason,
    };
  });
}

async function begin(
  lane: Lane,
  { isNew, document, text, temperature, maxTokens }: ChatInput,
  signal: AbortSignal,
  emit: (event: ChatEvent) => void,
): Promise<Turn> {
  if (isNew) lane.chat?.dispose();
  if (isNew || !lane.chat) lane.chat = lane.model.chat();
  const start = performance.now();
  const onProgress = (done: number, total: number): void => emit({ lane: lane.name, type: 'reading', done, total });
  if (document !== undefined) await lane.chat.read(document, { signal, onProgress });
  const answer = lane.chat.send(text, { signal, temperature, maxTokens, onProgress });
  const pieces = answer[Symbol.asyncIterator]();
  const ms = performance.now() - start;
  return { lane, answer, pieces, text: [], ms, firstTokenMs: undefined, isDone: false };
}

async function take(turn: Turn, emit: (event: ChatEvent) => void): Promise<void> {
  if (turn.isDone) return;
  const start = performance.now();
  const { done, value } = await turn.pieces.next();
  turn.ms += performance.now() - start;
  turn.isDone = done === true;
  if (done) return;
  turn.firstTokenMs ??= turn.ms;
  turn.text.push(value);
  emit({ lane: turn.lane.name, type: 'piece', text: value });
}
