// A sequence on WebAssembly: its tokens, a cache a layer, and runs of tokens through the decoder. What fails leaves no trace.
import type { BlockMask } from '@hip/mask-search';
import { throwIfAborted } from '../../errors.ts';
import { candidatesOf, type Candidates } from '@hip/checkpoints/generation';
import {
  busyError,
  CANDIDATES,
  checkAny,
  checkIds,
  checkLayers,
  checkLength,
  checkLogits,
  checkRoom,
  disposedError,
  nonFinite,
} from '../checks.ts';
import type { Decoder } from './decoder.ts';
import { translated } from '../failures.ts';
import type { LayerCache } from './layer-cache.ts';
import { LOGIT_ROWS } from './scratch.ts';
import { lossOf } from '../softmax-loss.ts';
import type { Turns } from './turns.ts';
import type { CandidateOptions, ForwardOptions, SavedSequence, Sequence } from '../types.ts';
import { restoreCaches, savedPages } from './saved.ts';

/** What sequences share. */
export interface Shared {
  readonly decoder: Decoder;
  readonly turns: Turns;
  readonly vocabulary: number;
  readonly contextTokens: number;
  /** Of the model. */
  readonly layers: number;
  /** Those that attend, by cache. */
  readonly attending: readonly number[];
  /** Steps that a run yields. */
  readonly steps: number;
  /** @throws HipError `out-of-memory` */
  createCaches(): LayerCache[];
  /** Whether a sequence of so many tokens is rotated by its long frequencies. */
  isLong(tokens: number): boolean;
  /** Whether frequencies change with every token (dynamic NTK scaling). */
  readonly isStretched: boolean;
  /** @throws LlmError `closed` */
  checkOpen(): void;
  readonly live: Set<WasmSequence>;
}

/** Looks at rows [row, row + rows) of the last run, which are tokens [from, from + rows) of what was appended. */
type Reader = (row: number, rows: number, from: number) => void;

export class WasmSequence implements Sequence {
  readonly #shared: Shared;
  #ids: number[];
  #caches: LayerCache[];
  #running = false;
  #disposed = false;

  constructor(shared: Shared, ids: number[], caches: LayerCache[]) {
    this.#shared = shared;
    this.#ids = ids;
    this.#caches = caches;
    shared.live.add(this);
  }

  get length(): number {
    return this.#ids.length;
  }

  get tokens(): readonly number[] {
    return [...this.#ids];
  }

  async forward(ids: ArrayLike<number>, { logits = 'last', ...options }: ForwardOptions = {}): Promise<Float32Array> {
    const { decoder, vocabulary } = this.#shared;
    if (options.apart && this.#mustStep(ids.length)) return this.#stepwise(ids, logits, options);
    const rows = logits === 'all' ? ids.length : logits === 'last' ? Math.min(1, ids.length) : 0;
    const out = new Float32Array(rows * vocabulary);
    const first = ids.length - rows;
    await this.#append(ids, { ...options, logits }, (row, count, from) => {
      for (let at = Math.max(0, first - from); at < count; at += LOGIT_ROWS) {
        const taken = Math.min(LOGIT_ROWS, count - at);
        const values = decoder.logits(row + at, taken);
        this.#checkFinite(values, taken, from + at);
        out.set(values, (from + at - first) * vocabulary);
      }
    });
    return out;
  }

  /** Whether rotations depend on how many tokens there are: then tokens apart are calls apart. */
  #mustStep(tokens: number): boolean {
    const shared = this.#shared;
    const isTurned = () => shared.isLong(this.length + tokens) !== shared.isLong(this.length);
    return tokens > 1 && (shared.isStretched || isTurned());
  }

  async #stepwise(
    ids: ArrayLike<number>,
    logits: ForwardOptions['logits'],
    options: ForwardOptions,
  ): Promise<Float32Array> {
    const { vocabulary, contextTokens } = this.#shared;
    checkIds(ids, vocabulary);
    checkRoom(this.length, ids.length, contextTokens);
    const before = this.length;
    const all = new Float32Array(logits === 'all' ? ids.length * vocabulary : 0);
    let last: Float32Array = all;
    try {
      for (let at = 0; at < ids.length; at++) {
        const isRead = logits === 'all' || (logits !== 'none' && at === ids.length - 1);
        last = await this.forward([ids[at] as number], { ...options, logits: isRead ? 'last' : 'none' });
        if (logits === 'all') all.set(last, at * vocabulary);
      }
      return logits === 'all' ? all : last;
    } catch (error) {
      if (!this.#disposed && this.length > before) this.truncate(before);
      throw error;
    }
  }

  async candidates(ids: ArrayLike<number>, { temperature, ...options }: CandidateOptions = {}): Promise<Candidates> {
    checkAny(ids);
    return candidatesOf(await this.forward(ids, options), { count: CANDIDATES, temperature });
  }

  async losses(ids: ArrayLike<number>, options: Omit<ForwardOptions, 'logits'> = {}): Promise<Float32Array> {
    const { decoder, vocabulary } = this.#shared;
    const out = new Float32Array(Math.max(0, ids.length - 1));
    await this.#append(ids, options, (row, count, from) => {
      const end = Math.min(count, out.length - from);
      for (let at = 0; at < end; at += LOGIT_ROWS) {
        const taken = Math.min(LOGIT_ROWS, end - at);
        const values = decoder.logits(row + at, taken);
        this.#checkFinite(values, taken, from + at);
        for (let i = 0; i < taken; i++) {
          const target = ids[from + at + i + 1] as number;
          out[from + at + i] = lossOf(values.subarray(i * vocabulary, (i + 1) * vocabulary), target);
        }
      }
    });
    return out;
  }

  async save(): Promise<SavedSequence> {
    this.#checkIdle('save');
    if (this.#isStale) await this.#renew();
    // Pages are shared with the copy until this sequence writes into them.
    const caches = this.#forkCaches();
    const check = (): void => this.#shared.checkOpen();
    return {
      tokens: this.tokens,
      state: caches.map((cache) => cache.save()),
      pieces: savedPages(caches, check),
      [Symbol.dispose]: () => free(caches.splice(0)),
    };
  }

  /** Makes an empty sequence what another was. @throws what {@link Engine.restoreSequence} throws; this is then to be disposed */
  async restore({ tokens, state, pieces }: Omit<SavedSequence, keyof Disposable>): Promise<void> {
    this.#checkIdle('restore');
    const { vocabulary, contextTokens } = this.#shared;
    checkIds(tokens, vocabulary);
    checkRoom(0, tokens.length, contextTokens);
    this.#running = true;
    try {
      await restoreCaches(this.#caches, state, tokens.length, pieces, () => this.#check());
      this.#ids = [...tokens];
    } finally {
      this.#running = false;
      if (this.#disposed) this.#free();
    }
  }

  fork(): Sequence {
    this.#checkIdle('fork');
    return new WasmSequence(this.#shared, [...this.#ids], this.#forkCaches());
  }

  #forkCaches(): LayerCache[] {
    const caches: LayerCache[] = [];
    try {
      for (const cache of this.#caches) caches.push(cache.fork());
    } catch (error) {
      free(caches);
      throw translated(error);
    }
    return caches;
  }

  truncate(length: number): void {
    this.#checkIdle('truncate');
    checkLength(length, this.length);
    cut(this.#caches, length);
    this.#ids.length = length;
  }

  /** Windows have slid on, and keys and values of all tokens are to be computed anew. */
  get #isStale(): boolean {
    return (this.#caches[0]?.length ?? 0) < this.#ids.length;
  }

  /** Computes keys and values of all tokens anew. */
  async #renew(): Promise<void> {
    const { length } = this.#ids;
    this.#running = true;
    try {
      await this.#runs(this.#ids, { caches: this.#caches, first: 0, total: length, skip: length }, {}, () => undefined);
    } catch (error) {
      if (!this.#disposed) cut(this.#caches, 0);
      throw translated(error);
    } finally {
      this.#running = false;
      if (this.#disposed) this.#free();
    }
  }

  mask(layer: number): BlockMask | undefined {
    this.#check();
    return this.#caches[this.#shared.attending.indexOf(layer)]?.mask;
  }

  /** Frees keys and values; a call that runs is ended at its next slice. */
  dispose(): void {
    this.#disposed = true;
    if (!this.#running) this.#free();
  }

  #free(): void {
    this.#shared.live.delete(this);
    free(this.#caches);
    this.#caches = [];
  }

  /** Runs `ids` after what is held; `read` sees every run of them while its hidden states are there. */
  async #append(ids: ArrayLike<number>, options: ForwardOptions, read: Reader): Promise<void> {
    this.#checkIdle('append');
    const { vocabulary, contextTokens } = this.#shared;
    checkIds(ids, vocabulary);
    const held = this.length;
    const total = held + ids.length;
    checkRoom(held, ids.length, contextTokens);
    checkLayers(options.masks, this.#shared.layers);
    if (ids.length === 0) return;
    this.#running = true;
    // Other frequencies turn every key that is held: all of it is computed anew, beside the old.
    const isTurned = held > 0 && !this.#isStale && this.#shared.isLong(total) !== this.#shared.isLong(held);
    const anew = isTurned || this.#isStale;
    let caches = this.#caches;
    try {
      throwIfAborted(options.signal, 'the step');
      if (isTurned) caches = this.#shared.createCaches();
      const all = anew ? [...this.#ids, ...Array.from(ids)] : ids;
      await this.#runs(all, { caches, first: anew ? 0 : held, total, skip: anew ? held : 0 }, options, read);
      if (isTurned) {
        free(this.#caches);
        this.#caches = caches;
      }
      for (let i = 0; i < ids.length; i++) this.#ids.push(ids[i] as number);
    } catch (error) {
      if (caches !== this.#caches) free(caches);
      else if (!this.#disposed) cut(caches, anew ? 0 : held);
      throw translated(error);
    } finally {
      this.#running = false;
      if (this.#disposed) this.#free();
    }
  }

  /** @param skip leading ids that were appended before, and are not read again */
  async #runs(
    ids: ArrayLike<number>,
    { caches, first, total, skip }: { caches: readonly LayerCache[]; first: number; total: number; skip: number },
    { signal, onProgress, apart, logits }: ForwardOptions,
    read: Reader,
  ): Promise<void> {
    const { decoder, turns, steps } = this.#shared;
    for (let at = 0; at < ids.length; at += decoder.rows) {
      const part = Array.prototype.slice.call(ids, at, at + decoder.rows) as number[];
      // What is asked for is asked by the end of the call.
      const after = logits === 'last' ? ids.length - at - part.length : Infinity;
      const run = { ids: part, first: first + at, total, caches, apart, place: { call: ids.length, after } };
      await turns.take(async () => {
        let step = 0;
        await turns.drive(decoder.run(run), () => {
          if (step > 0) onProgress?.(at + (part.length * Math.min(step, steps)) / (steps + 1), ids.length);
          step++;
          this.#check();
          throwIfAborted(signal, 'the step');
        });
        const bad = decoder.nonFiniteRow(0, part.length);
        if (bad >= 0) throw nonFinite(first + at + bad);
        const from = Math.max(0, skip - at);
        if (from < part.length) read(from, part.length - from, at + from - skip);
      });
      onProgress?.(Math.min(ids.length, at + part.length), ids.length);
    }
  }

  #checkFinite(values: Float32Array, rows: number, from: number): void {
    const width = values.length / rows;
    checkLogits(values, width, this.length + from);
  }

  #check(): void {
    this.#shared.checkOpen();
    if (this.#disposed) throw disposedError();
  }

  #checkIdle(what: string): void {
    this.#check();
    if (this.#running) throw busyError(what);
  }
}

function free(caches: readonly LayerCache[]): void {
  for (const cache of caches) cache[Symbol.dispose]();
}

/** Keeps the first tokens at most; none where windows have slid on. */
function cut(caches: readonly LayerCache[], length: number): void {
  const least = Math.min(length, ...caches.map((cache) => cache.length));
  const kept = caches.every((cache) => cache.canTruncate(least)) ? least : 0;
  for (const cache of caches) cache.truncate(kept);
}
