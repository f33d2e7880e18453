// An engine without arithmetic: what follows a text is a function of its ids. It keeps the seam's promises and counts what it is asked.
import { findFamily } from '@hip/checkpoints';
import { LlmError, throwIfAborted } from '../../src/errors.ts';
import { candidatesOf, type Candidates } from '@hip/checkpoints/generation';
import type {
  Backend,
  CandidateOptions,
  Engine,
  ForwardOptions,
  SavedSequence,
  Sequence,
} from '../../src/engine/types.ts';
import { tinyConfig } from './tiny.ts';

/** What follows: one token for sure, or whole logits. */
export type Follow = (ids: readonly number[]) => number | Float32Array;

export interface FakeOptions {
  readonly follow: Follow;
  readonly vocabulary: number;
  readonly contextTokens?: number;
  readonly conversations?: number;
  readonly backend?: Backend;
  /** Called with the ids before each step; may throw or abort. */
  readonly onStep?: (ids: readonly number[]) => void;
}

export class FakeEngine implements Engine {
  readonly backend: Backend;
  readonly reason = 'a test';
  readonly config;
  readonly vocabulary: number;
  readonly contextTokens: number;
  readonly conversations: number;
  readonly memory = { weights: 1, cache: 2, scratch: 3, total: 6 };
  readonly options: FakeOptions;
  /** Tokens that were computed. */
  computed = 0;
  live = 0;
  /** Calls that asked for candidates. */
  narrowed = 0;
  isClosed = false;

  constructor(options: FakeOptions) {
    this.options = options;
    this.backend = options.backend ?? 'wasm';
    this.vocabulary = options.vocabulary;
    this.contextTokens = options.contextTokens ?? 4096;
    this.conversations = options.conversations ?? Infinity;
    const raw = tinyConfig({ vocab_size: options.vocabulary });
    this.config = { ...findFamily(raw).readConfig(raw), eosTokenIds: [] };
  }

  readonly fingerprint: string = 'fake';
  readonly layout = 'fake';

  createSequence(): Sequence {
    return new FakeSequence(this, []);
  }

  async restoreSequence({ tokens, pieces }: Omit<SavedSequence, keyof Disposable>): Promise<Sequence> {
    const { value } = await pieces.next();
    if (value?.byteLength !== tokens.length) throw new LlmError('invalid-input', 'no piece');
    return new FakeSequence(this, tokens);
  }

  close(): void {
    this.isClosed = true;
  }
}

class FakeSequence implements Sequence {
  readonly #engine: FakeEngine;
  readonly #ids: number[];
  #isDisposed = false;

  constructor(engine: FakeEngine, ids: readonly number[]) {
    this.#engine = engine;
    this.#ids = [...ids];
    engine.live++;
  }

  get length(): number {
    return this.#ids.length;
  }

  async forward(ids: ArrayLike<number>, { logits = 'last', signal, onProgress }: ForwardOptions = {}) {
    const { follow, vocabulary, onStep } = this.#engine.options;
    this.#check();
    if (this.length + ids.length > this.#engine.contextTokens) throw new LlmError('context-full', 'too long');
    const all = [...this.#ids, ...Array.from(ids)];
    onStep?.(all);
    await new Promise((resolve) => void setImmediate(resolve));
    throwIfAborted(signal, 'the step');
    this.#check();
    onProgress?.(ids.length, ids.length);
    this.#engine.computed += ids.length;
    this.#ids.push(...Array.from(ids));
    if (logits === 'none' || ids.length === 0) return new Float32Array(0);
    const rows = logits === 'all' ? ids.length : 1;
    const out = new Float32Array(rows * vocabulary);
    for (let row = 0; row < rows; row++) {
      const next = follow(all.slice(0, all.length - rows + row + 1));
      if (typeof next === 'number') out[row * vocabulary + next] = 10;
      else out.set(next, row * vocabulary);
    }
    return out;
  }

  async candidates(ids: ArrayLike<number>, { temperature, ...options }: CandidateOptions = {}): Promise<Candidates> {
    this.#engine.narrowed++;
    return candidatesOf(await this.forward(ids, options), { count: 64, temperature });
  }

  get tokens(): readonly number[] {
    return [...this.#ids];
  }

  async losses(ids: ArrayLike<number>): Promise<Float32Array> {
    return new Float32Array(ids.length - 1).fill(Math.log(this.#engine.vocabulary));
  }

  fork(): Sequence {
    return new FakeSequence(this.#engine, this.#ids);
  }

  truncate(length: number): void {
    this.#ids.length = length;
  }

  async save(): Promise<SavedSequence> {
    const tokens = this.tokens;
    async function* pieces(): AsyncGenerator<Uint8Array, void, void> {
      yield new Uint8Array(tokens.length);
    }
    return { tokens, state: {}, pieces: pieces(), [Symbol.dispose]: () => undefined };
  }

  mask(): undefined {}

  dispose(): void {
    if (!this.#isDisposed) this.#engine.live--;
    this.#isDisposed = true;
  }

  #check(): void {
    if (this.#isDisposed || this.#engine.isClosed) throw new LlmError('closed', 'closed');
  }
}
