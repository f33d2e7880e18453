// A document that was read once and is asked many times.
import { StreamedAnswer } from '../chat/answer.ts';
import type { Chat } from '../chat/chat.ts';
import type { Answer, ChatOptions, ReadOptions, SendOptions } from '../chat/types.ts';
import type { PrefixStore } from '../saved/store.ts';

/** Options of `LanguageModel.prefix`. */
export interface PrefixOptions extends ChatOptions, ReadOptions {
  /** Where it is kept and looked for: `folderStore('…')`, `await browserStore()`, or your own. @defaultValue in memory alone */
  readonly store?: PrefixStore | undefined;
}

/** What a {@link Prefix} is of. */
export interface PrefixParts {
  readonly base: Chat;
  readonly key: string;
  readonly origin: Prefix['origin'];
  readonly problem: unknown;
  /** Called once, when it is disposed. */
  readonly release: () => void;
}

/**
 * A document in the cache, which `LanguageModel.prefix` makes. Conversations about it start behind it, any number of them at once; pages
 * are shared.
 */
export class Prefix implements Disposable {
  /** Hash of what is held: of the model, of how it was loaded, and of the tokens. */
  readonly key: string;
  /** Where it came from: read now, found in the store, or held already by another prefix of the model. */
  readonly origin: 'computed' | 'store' | 'memory';
  /** Why the store did not serve: what was found there and refused, or what writing threw. Undefined where all went well. */
  readonly problem: unknown;
  readonly #base: Chat;
  readonly #release: () => void;
  #isDisposed = false;

  /** @internal */
  constructor({ base, key, origin, problem, release }: PrefixParts) {
    this.#base = base;
    this.key = key;
    this.origin = origin;
    this.problem = problem;
    this.#release = release;
  }

  /** Tokens of it. */
  get tokens(): number {
    return this.#base.cachedTokens;
  }

  /** A conversation that begins with the document. Dispose of it when it is over. @throws LlmError `closed`, `out-of-memory` */
  chat(): Chat {
    return this.#base.fork();
  }

  /** One question about the document, in a conversation of its own. @throws when iterated: as `Chat.send` */
  ask(question: string, options: SendOptions = {}): Answer {
    return new StreamedAnswer((onEnd) => this.#answer(question, options, onEnd));
  }

  async *#answer(
    question: string,
    options: SendOptions,
    onEnd: (usage: NonNullable<Answer['usage']>) => void,
  ): AsyncGenerator<string, void, void> {
    using chat = this.chat();
    const answer = chat.send(question, options);
    try {
      yield* answer;
    } finally {
      if (answer.usage) onEnd(answer.usage);
    }
  }

  /** As `Chat.save`: `model.restore` makes a conversation of it. */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#base.save();
  }

  /** As `Chat.savePieces`. */
  savePieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    return this.#base.savePieces();
  }

  /** Lets go of the document; conversations that were begun keep it. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
