// The prefixes of a model: each computed once, by whoever asks first; found again in memory, or in a store, by what they hold.
import { Chat } from '../chat/chat.ts';
import { restoreChat } from '../chat/saved.ts';
import type { ReadOptions } from '../chat/types.ts';
import { LlmError, throwIfAborted } from '../errors.ts';
import type { ModelParts } from '../model/parts.ts';
import { Checksum } from '../saved/checksum.ts';
import type { PrefixStore } from '../saved/store.ts';
import { Prefix, type PrefixOptions } from './prefix.ts';

/** How a document came to be held. */
interface Made {
  readonly base: Chat;
  readonly origin: 'computed' | 'store';
  readonly problem: unknown;
}

interface Shelved {
  readonly made: Promise<Made>;
  holders: number;
}

/** What is read, and how. */
interface Wanted {
  readonly key: string;
  readonly document: string;
  readonly tokens: readonly number[];
  readonly options: PrefixOptions;
}

export class PrefixShelf {
  readonly #parts: ModelParts;
  readonly #shelved = new Map<string, Shelved>();

  constructor(parts: ModelParts) {
    this.#parts = parts;
  }

  /** @throws see `LanguageModel.prefix` */
  async open(document: string, options: PrefixOptions): Promise<Prefix> {
    const { store: _, signal, onProgress: __, ...chat } = options;
    throwIfAborted(signal, 'reading the document');
    const tokens = tokensOf(new Chat(this.#parts, chat), document);
    const { fingerprint, layout } = this.#parts.engine;
    const wanted = { key: await keyOf(`${fingerprint}\n${layout}`, tokens), document, tokens, options };
    for (;;) {
      const found = await this.#hold(wanted);
      if (found) return found;
    }
  }

  /** Undefined where somebody else began to read it, and gave up. */
  async #hold(wanted: Wanted): Promise<Prefix | undefined> {
    const { key, options } = wanted;
    const before = this.#shelved.get(key);
    const shelved = before ?? { made: this.#make(wanted), holders: 0 };
    if (!before) {
      this.#shelved.set(key, shelved);
      // Who comes later tries anew.
      shelved.made.catch(() => this.#take(key, shelved));
    }
    shelved.holders++;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      if (--shelved.holders > 0) return;
      this.#take(key, shelved);
      // What is still being read for nobody is let go when it is there.
      void shelved.made.then(
        ({ base }) => base.dispose(),
        () => undefined,
      );
    };
    try {
      const { base, origin, problem } = await unlessAborted(shelved.made, options);
      return new Prefix({ base, key, origin: before ? 'memory' : origin, problem, release });
    } catch (error) {
      release();
      const isOthers = before && error instanceof LlmError && error.code === 'aborted' && !options.signal?.aborted;
      if (isOthers) return undefined;
      throw error;
    }
  }

  #take(key: string, shelved: Shelved): void {
    if (this.#shelved.get(key) === shelved) this.#shelved.delete(key);
  }

  async #make({ key, document, tokens, options }: Wanted): Promise<Made> {
    const { store, signal, onProgress, ...chat } = options;
    let problem: unknown;
    if (store) {
      try {
        const input = await store.read(key);
        if (input) return { base: await restoreChat(this.#parts, input, chat, tokens), origin: 'store', problem };
      } catch (error) {
        // What is damaged, or of another model, is read anew and written over. Anything else, such as no memory, would come again.
        if (!(error instanceof LlmError) || !error.code.startsWith('saved-')) throw error;
        problem = error;
      }
    }
    const base = new Chat(this.#parts, chat);
    try {
      await base.read(document, { signal, onProgress });
    } catch (error) {
      base.dispose();
      throw error;
    }
    if (store) problem = (await keep(store, key, base)) ?? problem;
    return { base, origin: 'computed', problem };
  }
}

/** @returns what went wrong: the prefix serves without its store */
async function keep(store: PrefixStore, key: string, base: Chat): Promise<unknown> {
  try {
    await store.write(key, base.savePieces());
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Tokens of a conversation that has read the document; the conversation was for this alone. */
function tokensOf(chat: Chat, document: string): readonly number[] {
  try {
    return chat.documentTokens(document);
  } finally {
    chat.dispose();
  }
}

/** SHA-256 where the platform has it, else a checksum: what is found is compared token by token. */
async function keyOf(model: string, tokens: readonly number[]): Promise<string> {
  const ids = new Uint8Array(Int32Array.from(tokens).buffer);
  const { subtle } = (globalThis.crypto as Crypto | undefined) ?? {};
  if (!subtle) return new Checksum().text(model).add(ids).hex;
  const head = new TextEncoder().encode(`${model}\n`);
  const all = new Uint8Array(head.length + ids.length);
  all.set(head);
  all.set(ids, head.length);
  const hash = new Uint8Array(await subtle.digest('SHA-256', all));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Waits, or stops waiting; what is waited for goes on. */
function unlessAborted<T>(made: Promise<T>, { signal }: Pick<ReadOptions, 'signal'>): Promise<T> {
  if (!signal) return made;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      try {
        throwIfAborted(signal, 'reading the document');
      } catch (error) {
        reject(error as Error);
      }
    };
    onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const forget = (): void => signal.removeEventListener('abort', onAbort);
    made.then(resolve, reject).then(forget, forget);
  });
}
