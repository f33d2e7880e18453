// One answer: tokens to pieces of text, counted and timed.
import type { TextTokenizer } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';
import { continueTokens } from '../generation/continue.ts';
import type { HeldTokens } from '../generation/held-tokens.ts';
import type { GenerationSettings } from '../generation/options.ts';
import { TextPieces } from '../generation/text-pieces.ts';
import type { Answer, Usage } from './types.ts';

/** What an answer is made from. */
export interface AnswerSource {
  readonly held: HeldTokens;
  readonly tokenizer: TextTokenizer;
  readonly prompt: readonly number[];
  readonly settings: GenerationSettings;
  /** Whether special tokens are part of the text. @defaultValue false */
  readonly keepSpecial?: boolean;
  /** Called when the prompt has been read. */
  readonly onRead?: () => void;
}

/** How an answer came to be. */
export interface Ended {
  /** All pieces that were given. */
  readonly text: string;
  readonly usage: Usage;
  /** Whether it came to its own end. */
  readonly isWhole: boolean;
}

/** Writes an answer; calls `onEnd` once, however it ends. */
export async function* writeAnswer(
  { held, tokenizer, prompt, settings, keepSpecial = false, onRead }: AnswerSource,
  onEnd: (ended: Ended) => void,
): AsyncGenerator<string, void, void> {
  const pieces = new TextPieces(tokenizer, settings.stopStrings, keepSpecial);
  const startedAt = performance.now();
  let readAt: number | undefined;
  let [text, cachedTokens, generatedTokens] = ['', 0, 0];
  let finishReason: Usage['finishReason'] = 'left';
  const events = continueTokens(held, prompt, settings);
  try {
    for (;;) {
      const { value: event, done } = await events.next();
      if (done) {
        const rest = pieces.end();
        text += rest;
        finishReason = event;
        if (rest !== '') yield rest;
        return;
      }
      if (event.type === 'prompt') {
        cachedTokens = event.reused;
        readAt = performance.now();
        onRead?.();
        continue;
      }
      generatedTokens++;
      const { text: piece, stopped } = pieces.push(event.id);
      text += piece;
      if (stopped) finishReason = 'stop-string';
      if (piece !== '') yield piece;
      if (stopped) return;
    }
  } catch (error) {
    finishReason = error instanceof LlmError && error.code === 'aborted' ? 'aborted' : 'failed';
    throw error;
  } finally {
    // It may have appended what a draft proposed.
    await events.return('length');
    const now = performance.now();
    const promptMs = (readAt ?? now) - startedAt;
    const usage = {
      promptTokens: prompt.length,
      cachedTokens,
      generatedTokens,
      promptMs,
      generateMs: now - startedAt - promptMs,
      finishReason,
    };
    onEnd({ text, usage, isWhole: !['aborted', 'failed', 'left'].includes(finishReason) });
  }
}

/** An {@link Answer} over its pieces, which `write` makes once they are asked for. */
export class StreamedAnswer implements Answer {
  readonly #write: (onEnd: (usage: Usage) => void) => AsyncGenerator<string, void, void>;
  #pieces: AsyncGenerator<string, void, void> | undefined;
  #usage: Usage | undefined;

  constructor(write: (onEnd: (usage: Usage) => void) => AsyncGenerator<string, void, void>) {
    this.#write = write;
  }

  get usage(): Usage | undefined {
    return this.#usage;
  }

  [Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    return (this.#pieces ??= this.#write((usage) => (this.#usage = usage)));
  }

  async text(): Promise<string> {
    let text = '';
    for await (const piece of this) text += piece;
    return text;
  }
}
