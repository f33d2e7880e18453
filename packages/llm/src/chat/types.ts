// What a conversation is told, and what it says of itself.
import type { ChatMessage, ChatTemplate } from '@hip/checkpoints';
import type { FinishReason, GenerateOptions } from '../generation/options.ts';

/** Options of `LanguageModel.chat`. */
export interface ChatOptions {
  /** What the model is told before everything else. @defaultValue the template's own */
  readonly system?: string | undefined;
  /** A conversation to go on with. @defaultValue none */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** @defaultValue the checkpoint's */
  readonly template?: ChatTemplate | undefined;
  /** Functions that the model may call, for templates that know them. */
  readonly tools?: readonly unknown[] | undefined;
  /** Further variables of the template: `enable_thinking`, `date_string`, … */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** How answers are generated where `send` is not told. */
  readonly defaults?: Omit<GenerateOptions, 'signal' | 'onToken' | 'onProgress'> | undefined;
}

/** Options of `Chat.send`. */
export interface SendOptions extends GenerateOptions {
  /**
   * What remains of a turn that is aborted, fails, or whose pieces are no longer taken: `keep` the question and the part of the answer
   * that was given (where nothing was, neither remains), or `drop` both.
   *
   * @defaultValue 'keep'
   */
  readonly partial?: 'keep' | 'drop' | undefined;
}

/** Options of `Chat.read`. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Tokens read, and all of them. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Counts and times of an answer. */
export interface Usage {
  /** Tokens of the conversation before the answer. */
  readonly promptTokens: number;
  /** Those of them that were in the cache. */
  readonly cachedTokens: number;
  /** Tokens of the answer. */
  readonly generatedTokens: number;
  /** Milliseconds until the prompt was read. */
  readonly promptMs: number;
  /** Milliseconds from there on. */
  readonly generateMs: number;
  /** Why the answer ended; `aborted` and `failed` with what was thrown, `left` where its pieces were no longer taken. */
  readonly finishReason: FinishReason | 'aborted' | 'failed' | 'left';
}

/**
 * An answer as it is written: iterate it once for its pieces. They are whole characters; together they are the text of the tokens, without
 * what ends it. Nothing happens before it is iterated.
 */
export interface Answer extends AsyncIterable<string, void, void> {
  /** The whole text. @throws what iterating throws */
  text(): Promise<string>;
  /** Known when the answer has ended, however it did. */
  readonly usage: Usage | undefined;
}
