// A conversation: messages, and the tokens of them that are in the cache.
import type { ChatMessage } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';
import type { HeldTokens } from '../generation/held-tokens.ts';
import { resolveGeneration } from '../generation/options.ts';
import { holdTokens, type ModelParts } from '../model/parts.ts';
import { StreamedAnswer, writeAnswer, type Ended } from './answer.ts';
import { Rendering, userMessage } from './rendering.ts';
import { collect } from '../saved/collect.ts';
import { writeSaved } from '../saved/document.ts';
import { ownOf } from './saved.ts';
import type { Answer, ChatOptions, ReadOptions, SendOptions, Usage } from './types.ts';

/** A turn that can be taken back. */
export interface Turn {
  /** Messages before it. */
  readonly messages: number;
  /** Tokens in the cache before it. */
  readonly tokens: number;
  /** Document that was read for it. */
  readonly document: string | undefined;
}

/** What a conversation has said. */
export interface ChatState {
  readonly messages: readonly ChatMessage[];
  readonly turns: readonly Turn[];
  readonly document: string | undefined;
}

/**
 * A conversation with a model. Turns that were answered stay in the cache: of each question only what is new is read, as far as the
 * template renders the earlier turns as before. Several conversations of one model take turns, token by token.
 *
 * @example
 * ```ts
 * import { loadLanguageModel } from '@hip/llm';
 *
 * using model = await loadLanguageModel('./SmolLM2-135M-Instruct.Q4_1.gguf');
 * using chat = model.chat({ system: 'Answer in one sentence.' });
 * const pieces: string[] = [];
 * for await (const piece of chat.send('What is the capital of France?', { temperature: 0 })) pieces.push(piece);
 * console.log(pieces.join('')); // => The capital of France is Paris.
 * console.log(chat.messages.length); // => 3
 * ```
 */
export class Chat implements Disposable {
  readonly #parts: ModelParts;
  readonly #options: ChatOptions;
  readonly #rendering: Rendering;
  #held: HeldTokens;
  #messages: ChatMessage[];
  #turns: Turn[];
  /** Read, and not asked about yet. */
  #document: string | undefined;
  #isRunning = false;
  #isDisposed = false;

  /** For `LanguageModel.chat`. @internal */
  constructor(parts: ModelParts, options: ChatOptions, held?: HeldTokens, state?: ChatState) {
    this.#parts = parts;
    this.#options = options;
    this.#rendering = renderingOf(parts, options);
    const { system, messages = [] } = options;
    const first = system === undefined ? messages : [{ role: 'system', content: system }, ...messages];
    this.#messages = [...(state?.messages ?? first)];
    this.#turns = [...(state?.turns ?? [])];
    this.#document = state?.document;
    this.#held = held ?? holdTokens(parts);
  }

  /** What has been said; a turn is added when its answer has ended. */
  get messages(): readonly ChatMessage[] {
    return [...this.#messages];
  }

  /** Tokens in the cache. */
  get cachedTokens(): number {
    return this.#held.ids.length;
  }

  /**
   * Asks something. The answer is written as its pieces are taken; its turn is then part of {@link Chat.messages}.
   *
   * @throws when iterated: LlmError `invalid-input`, `context-full` (with the tokens needed and the limit, before anything is computed),
   * `non-finite-logits`, `out-of-memory`, `aborted`, `busy` while another answer is written, `closed`; CheckpointError `chat-template`.
   * The conversation then holds what {@link SendOptions.partial} says
   */
  send(text: string, options: SendOptions = {}): Answer {
    return new StreamedAnswer((onEnd) => this.#answer(text, options, onEnd));
  }

  /**
   * Reads a document into the cache; the next question is about it. Of two documents before a question both are.
   *
   * @returns tokens of the conversation so far
   * @throws LlmError `context-full` before anything is computed, `out-of-memory`, `aborted`, `busy`, `closed`. The document is then not
   * part of the conversation
   */
  async read(document: string, { signal, onProgress }: ReadOptions = {}): Promise<number> {
    this.#requireIdle();
    const all = this.#withDocument(document);
    const ids = this.#rendering.document(this.#messages, all);
    this.#isRunning = true;
    try {
      await this.#held.hold(ids, { logits: 'none', signal, onProgress });
      this.#document = all;
      return ids.length;
    } finally {
      this.#isRunning = false;
    }
  }

  /** Tokens that the conversation would hold after {@link read}. @internal */
  documentTokens(document: string): readonly number[] {
    return this.#rendering.document(this.#messages, this.#withDocument(document));
  }

  #withDocument(document: string): string {
    if (typeof document !== 'string' || document.trim() === '') {
      throw new LlmError('invalid-input', 'the document is empty: give some text', {});
    }
    return this.#document === undefined ? document : `${this.#document}\n\n${document}`;
  }

  /** Takes the last turn back: question, answer, and their part of the cache. @returns whether there was one. @throws LlmError `busy`, `closed` */
  undo(): boolean {
    this.#requireIdle();
    const turn = this.#turns.pop();
    if (!turn) return false;
    this.#messages.length = turn.messages;
    this.#document = turn.document;
    this.#held.truncate(turn.tokens);
    return true;
  }

  /** A conversation that has said the same and goes its own way; the cache is shared until then. @throws LlmError `busy`, `closed`, `out-of-memory` */
  fork(): Chat {
    this.#requireIdle();
    const state = { messages: this.#messages, turns: this.#turns, document: this.#document };
    return new Chat(this.#parts, this.#options, this.#held.fork(), state);
  }

  /**
   * The conversation as bytes: what was said, how answers are generated, keys, values and searches. `model.restore` goes on from them as
   * this one would have, in another process too, where the same model is loaded in the same way.
   *
   * @throws LlmError `busy`, `closed`, `out-of-memory`, `device-lost`; `unsupported-model` where pages lie on the host (`offload`)
   */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    return collect(this.savePieces());
  }

  /**
   * The same bytes piece by piece, for a file or a stream: a long conversation takes gigabytes. It may go on while they are taken.
   *
   * @throws as {@link Chat.save}
   */
  async *savePieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    this.#requireIdle();
    const own = ownOf({ messages: this.messages, turns: [...this.#turns], document: this.#document }, this.#options);
    yield* writeSaved(this.#parts.engine, await this.#held.save(), own);
  }

  /** Frees the cache; an answer that is being written ends with `closed`. What was said can still be read. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#held[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async *#answer(
    text: string,
    options: SendOptions,
    onEnd: (usage: Usage) => void,
  ): AsyncGenerator<string, void, void> {
    this.#requireIdle();
    const { defaults: advised, engine, tokenizer } = this.#parts;
    const { partial = 'keep' } = options;
    if (typeof text !== 'string')
      throw new LlmError('invalid-input', 'the question is no text: give a string', { text });
    if (partial !== 'keep' && partial !== 'drop') {
      throw new LlmError('invalid-input', `partial is ${JSON.stringify(partial)}: give keep or drop`, { partial });
    }
    const settings = resolveGeneration(
      { ...this.#options.defaults, ...given(options) },
      advised,
      engine.config.eosTokenIds,
      { tokenizer, vocabulary: engine.vocabulary },
    );
    const question = userMessage(text, this.#document);
    const prompt = this.#rendering.prompt([...this.#messages, question]);
    const turn = { messages: this.#messages.length, tokens: this.#held.ids.length, document: this.#document };
    const source = { held: this.#held, tokenizer: tokenizer!, prompt, settings };
    const end = ({ text: answer, usage, isWhole }: Ended): void => {
      this.#isRunning = false;
      if (isWhole || (partial === 'keep' && answer !== '')) {
        this.#messages.push(question, { role: 'assistant', content: answer });
        this.#turns.push(turn);
        this.#document = undefined;
      }
      onEnd(usage);
    };
    this.#isRunning = true;
    yield* writeAnswer(source, end);
  }

  #requireIdle(): void {
    if (this.#isDisposed)
      throw new LlmError('closed', 'this conversation is disposed: begin another with model.chat()', {});
    if (!this.#isRunning) return;
    throw new LlmError(
      'busy',
      'an answer of this conversation is being written: take it to its end, or fork before',
      {},
    );
  }
}

/** Without what is undefined, which would hide defaults. */
function given(options: SendOptions): SendOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function renderingOf(
  { template: own, tokenizer }: ModelParts,
  { template = own, tools, variables }: ChatOptions,
): Rendering {
  if (!tokenizer) {
    throw new LlmError('unsupported-model', 'the model has no tokenizer (tokenizer.json), which a chat needs', {});
  }
  if (!template) {
    const message = 'the model has no chat template: give one, model.chat({ template: await createChatTemplate(…) })';
    throw new LlmError('unsupported-model', message, {});
  }
  return new Rendering(template, tokenizer, { tools, variables });
}
