// Beginnings that requests share: computed once, kept while there is room, forked by whoever begins alike.
import { commonLength, type HeldTokens } from '../generation/held-tokens.ts';
import { holdTokens, type ModelParts } from '../model/parts.ts';
import { abortedError } from './admission.ts';

/** Tokens from which on it pays to wait for another request's, or to keep one's own. */
const WORTH = 16;

/** Tokens that no request is using. */
interface Kept {
  readonly held: HeldTokens;
  /** Larger is later. */
  usedAt: number;
}

/** A prompt that is being read. */
interface Reading {
  readonly prompt: readonly number[];
  readonly ended: Promise<void>;
}

/** Tokens of a request: those that another one had in common with it, to begin with. */
export interface Begun {
  readonly held: HeldTokens;
  /** Tells that the prompt has been read: others may begin with it. */
  read(): void;
  /** Gives the tokens back, to be kept for requests that go on from them, or freed. */
  end(): void;
}

/** Kept beginnings, least recently used ones dropped first. */
export class PrefixStore {
  readonly #parts: Pick<ModelParts, 'engine' | 'draft'>;
  readonly #kept = new Set<Kept>();
  readonly #reading = new Set<Reading>();
  #limit: number;
  readonly #most: number;
  #clock = 0;

  /**
   * @param limit - tokens to keep; those that two kept beginnings share count twice
   * @param most - beginnings to keep. @defaultValue as many as hold so many tokens
   */
  constructor(parts: Pick<ModelParts, 'engine' | 'draft'>, limit: number, most = Infinity) {
    this.#parts = parts;
    this.#limit = limit;
    this.#most = most;
  }

  /** Tokens kept. */
  get tokens(): number {
    return [...this.#kept].reduce((sum, { held }) => sum + held.ids.length, 0);
  }

  /** Beginnings kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** Keeps no more tokens than this from now on. */
  limit(tokens: number): void {
    this.#limit = tokens;
    this.#shrink();
  }

  /**
   * Tokens to read a prompt into. Where another request is reading the longest common beginning, its end is waited for.
   *
   * @throws LlmError `aborted`, `out-of-memory`, `closed`
   */
  async begin(prompt: readonly number[], signal: AbortSignal): Promise<Begun> {
    for (;;) {
      const kept = longest(this.#kept, prompt, ({ held }) => held.ids);
      const reading = longest(this.#reading, prompt, (one) => one.prompt);
      if (reading.one && reading.common >= kept.common + WORTH) {
        await unlessAborted(reading.one.ended, signal);
        continue;
      }
      return this.#begin(prompt, kept);
    }
  }

  /** Frees all that is kept. */
  clear(): void {
    for (const kept of this.#kept) this.#drop(kept);
  }

  #begin(prompt: readonly number[], { one, common }: Longest<Kept>): Begun {
    if (one) one.usedAt = ++this.#clock;
    const held = one && common > 0 ? one.held.fork() : holdTokens(this.#parts);
    const endReading = prompt.length - common >= WORTH ? this.#beginReading(prompt) : () => {};
    return {
      held,
      read: () => {
        try {
          if (held.ids.length >= WORTH && held.ids.length <= this.#limit) this.#keep(held.fork());
        } catch {
          // No room to share: the request goes on with its own.
          this.clear();
        } finally {
          endReading();
        }
      },
      end: () => {
        this.#keep(held);
        endReading();
      },
    };
  }

  /** @returns what ends it */
  #beginReading(prompt: readonly number[]): () => void {
    let resolve!: () => void;
    const reading = { prompt, ended: new Promise<void>((resolved) => (resolve = resolved)) };
    this.#reading.add(reading);
    return () => {
      this.#reading.delete(reading);
      resolve();
    };
  }

  /** Keeps tokens in place of those that they begin with. */
  #keep(held: HeldTokens): void {
    const { ids } = held;
    for (const other of this.#kept) {
      const common = commonLength(other.held.ids, ids);
      if (common === other.held.ids.length) this.#drop(other);
      else if (common === ids.length) {
        other.usedAt = ++this.#clock;
        held[Symbol.dispose]();
        return;
      }
    }
    if (ids.length < WORTH || ids.length > this.#limit) {
      held[Symbol.dispose]();
      return;
    }
    this.#kept.add({ held, usedAt: ++this.#clock });
    this.#shrink();
  }

  #shrink(): void {
    let tokens = this.tokens;
    const oldest = [...this.#kept].sort((a, b) => a.usedAt - b.usedAt);
    for (const kept of oldest) {
      if (tokens <= this.#limit && this.size <= this.#most) return;
      tokens -= kept.held.ids.length;
      this.#drop(kept);
    }
  }

  #drop(kept: Kept): void {
    this.#kept.delete(kept);
    kept.held[Symbol.dispose]();
  }
}

interface Longest<T> {
  readonly one: T | undefined;
  readonly common: number;
}

/** Which of them begins like the prompt for longest. */
function longest<T>(all: Iterable<T>, prompt: readonly number[], idsOf: (one: T) => readonly number[]): Longest<T> {
  let best: Longest<T> = { one: undefined, common: 0 };
  for (const one of all) {
    const common = commonLength(idsOf(one), prompt);
    if (common > best.common) best = { one, common };
  }
  return best;
}

async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  let abort: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(abortedError(signal));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
