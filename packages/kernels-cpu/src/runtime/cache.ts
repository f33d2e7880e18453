// KeyValueCache: keys and values that stay in WebAssembly memory between calls. Append, attend with the newest rows, decode.
import {
  checkScore,
  checkShape,
  HipError,
  MaskHistory,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
  type RememberedSearch,
  type ScoreOptions,
} from '@hip/mask-search';
import { PAGE_TOKENS } from '../plan/layout.ts';
import { denseSteps, maskedSteps } from './attend.ts';
import type { CacheOptions } from './cache-options.ts';
import { CacheSearches, type Attended, type Searched } from './cache-searches.ts';
import type { Call } from './part.ts';
import { checkCacheType, checkMask, countRows, runnableConfig } from './check.ts';
import { drive, driveAsync, type AsyncOptions } from './drive.ts';
import type { Engine, Steps } from './engine.ts';
import { readPage, writePage } from '../store/raw-pages.ts';
import { readStore, type HeldTokens } from '../store/read.ts';
import { Store } from '../store/store.ts';

/** What a cache is beside its pages: plain data, typed arrays among it. */
export interface SavedCache {
  readonly tokens: number;
  /** Pages that {@link KeyValueCache.readPage} gives: from the first one that was not forgotten to `pages` − 1. */
  readonly pages: number;
  /** See {@link KeyValueCache.forget}. @defaultValue 0 */
  readonly firstPage?: number | undefined;
  /** Whether NaN or infinity is among them. */
  readonly special: boolean;
  /** Searches that later steps go on from. */
  readonly searches: readonly RememberedSearch<Searched>[];
}

/** Made by {@link CpuRuntime.createCache}. Rows of q are the newest: row i of Tq stands at position length − Tq + i. */
export class KeyValueCache {
  readonly config: HipConfig;
  readonly #engine: Engine;
  #store: Store;
  readonly #options: CacheOptions;
  readonly #heads: number;
  readonly #scores: ScoreOptions;
  #searches: CacheSearches;
  #disposed = false;
  /** Asynchronous calls that have not ended. */
  #running = 0;

  /** @internal use {@link CpuRuntime.createCache} */
  constructor(engine: Engine, options: CacheOptions) {
    const {
      batch = 1,
      heads,
      kvHeads,
      headDim,
      type = 'f32',
      config = {},
      maxTokens = Infinity,
      scale,
      softcap,
    } = options;
    checkShape({ batch, heads, kvHeads, headDim, queries: 1, keys: 1 });
    checkCacheType(type);
    checkScore({ scale, softcap });
    if (maxTokens !== Infinity && (!Number.isSafeInteger(maxTokens) || maxTokens < 1)) {
      const message = `maxTokens is ${maxTokens}: give an integer >= 1, or leave it out`;
      throw new HipError('invalid-config', message, { name: 'maxTokens', value: maxTokens });
    }
    this.config = runnableConfig(config, { heads, headDim });
    this.#searches = new CacheSearches(this.config);
    this.#engine = engine;
    this.#options = options;
    this.#heads = heads;
    this.#scores = { scale, softcap };
    this.#store = new Store(engine, { batch, kvHeads, headDim }, { type, maxTokens });
  }

  /** Tokens held. */
  get length(): number {
    return this.#store.length;
  }

  /** Bytes of WebAssembly memory held; pages that are shared with a fork count in both. */
  get bytes(): number {
    return this.#store.bytes;
  }

  /** Mask of the last search; undefined before the first, and where the cache was cut back to before it. */
  get mask(): BlockMask | undefined {
    return this.#searches.mask;
  }

  /**
   * Appends k, v [B, T, Hkv, d].
   *
   * @throws HipError `invalid-shape`, `out-of-memory`, `unsupported` for other arrays than float32 and while an asynchronous call runs
   */
  append(k: Float32Array, v: Float32Array): void {
    this.#check();
    this.#checkIdle('append');
    this.#store.append(k, v);
  }

  /**
   * Keeps the first `length` tokens: takes back a step that failed, or a turn of a conversation. What was searched with more is
   * forgotten, and the mask that served before it serves again. The memory stays the cache's own.
   *
   * @throws HipError `invalid-config` unless `length` is an integer from 0 to the length held, `unsupported` while an asynchronous
   * call runs, and for a length within what was forgotten ({@link forget}), but 0
   *
   * @example
   * ```ts
   * import { createCpuRuntime } from '@hip/kernels-cpu';
   * using cpu = await createCpuRuntime({ threads: 1 });
   * using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 4 });
   * cache.append(new Float32Array(12), new Float32Array(12));
   * cache.truncate(2);
   * console.log(cache.length); // => 2
   * ```
   */
  truncate(length: number): void {
    this.#checkTokens('length', length);
    this.#checkIdle('truncate');
    if (length > 0 && length < this.forgotten) throw forgottenError(`${length} tokens are kept`, this.forgotten);
    this.#store.truncate(length);
    this.#searches.truncate(length);
  }

  /** First tokens whose pages were given back. */
  get forgotten(): number {
    return this.#store.firstPage * PAGE_TOKENS;
  }

  /**
   * Gives back the memory of pages that hold the first `tokens` tokens alone, which no row attends to any more: those behind a sliding
   * window. The cache is as long as it was; {@link attendMasked} with that window goes on, what reads all tokens throws.
   *
   * @throws HipError `invalid-config`, `unsupported` while an asynchronous call runs
   *
   * @example
   * ```ts
   * import { createCpuRuntime } from '@hip/kernels-cpu';
   * using cpu = await createCpuRuntime({ threads: 1 });
   * using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 4 });
   * cache.append(new Float32Array(4 * 600), new Float32Array(4 * 600));
   * cache.forget(590);
   * console.log(cache.length, cache.forgotten); // => 600 512
   * ```
   */
  forget(tokens: number): void {
    this.#check();
    this.#checkTokens('tokens', tokens);
    this.#checkIdle('forget');
    this.#store.forget(tokens);
  }

  /**
   * A cache of the same tokens, which both go on from by themselves: one prompt, several answers. Pages are shared, so it takes little
   * memory; the first to append copies the last page where that is partly filled. Disposing of one leaves the other.
   *
   * @throws HipError `out-of-memory`, `internal` for a disposed cache
   *
   * @example
   * ```ts
   * import { createCpuRuntime } from '@hip/kernels-cpu';
   * using cpu = await createCpuRuntime({ threads: 1 });
   * using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 4 });
   * cache.append(new Float32Array(12), new Float32Array(12));
   * using fork = cache.fork();
   * fork.append(new Float32Array(4), new Float32Array(4));
   * console.log([cache.length, fork.length]); // => [ 3, 4 ]
   * ```
   */
  fork(): KeyValueCache {
    this.#check();
    const fork = new KeyValueCache(this.#engine, this.#options);
    fork.#store = this.#store.fork();
    fork.#searches = this.#searches.fork();
    return fork;
  }

  /**
   * HiP attention of the newest rows over everything held: one chunk of a prefill, or several tokens at once.
   *
   * @param q [B, Tq, H, d], appended before: Tq <= length
   */
  attend(q: Float32Array): Attended {
    return drive(this.#hip(q, false));
  }

  /** {@link attend} in slices of some tens of milliseconds. Nothing can be appended before it has ended. */
  attendAsync(q: Float32Array, options: AsyncOptions = {}): Promise<Attended> {
    return driveAsync(this.#watched(this.#hip(q, true)), options);
  }

  /** Exact attention of the newest rows. */
  attendDense(q: Float32Array): Float32Array {
    return drive(this.#dense(q, false));
  }

  /** {@link attendDense} in slices. */
  attendDenseAsync(q: Float32Array, options: AsyncOptions = {}): Promise<Float32Array> {
    return driveAsync(this.#watched(this.#dense(q, true)), options);
  }

  /**
   * Attention of the newest rows over a mask that was found before, its sinks and its window: with `denseMask` of `@hip/mask-search`
   * and a window of its own, of a sliding-window layer.
   *
   * @param q [B, Tq, H, d], appended before
   * @throws HipError `invalid-mask`, `invalid-shape` when the mask was made for other shapes
   */
  attendMasked(q: Float32Array, mask: BlockMask): Float32Array {
    const shape = this.#shape(q, mask);
    checkMask(mask, shape);
    const out = new Float32Array(q.length);
    drive(maskedSteps(this.#call(shape, false), q, out, mask));
    return out;
  }

  /**
   * HiP attention of the newest token. A mask serves for `config.refreshInterval` tokens. Stages with a `refresh` of their own are run
   * again after as many; later ones then search inside what they left before. Meanwhile the window and the remainder's blocks start
   * where they did when the first stage ran. With `decodeKeys: 'candidates'` the row attends to all candidates of the vote.
   *
   * @param q [B, 1, H, d]
   * @param options.refresh searches now. @defaultValue false
   */
  decode(q: Float32Array, { refresh = false }: { readonly refresh?: boolean } = {}): Float32Array {
    const shape = this.#shape(q);
    if (shape.queries !== 1) {
      const message = `q holds ${shape.queries} rows: decode takes one, attend takes more`;
      throw new HipError('invalid-shape', message, { queries: shape.queries });
    }
    return this.#searches.step(this.#call(shape, false), q, refresh);
  }

  /**
   * Copies what is held out of WebAssembly memory: k, v [B, {@link length}, Hkv, d], as they were appended (a float16 cache gives what it
   * rounded them to).
   *
   * @throws HipError `internal` for a disposed cache
   *
   * @example
   * ```ts
   * import { createCpuRuntime } from '@hip/kernels-cpu';
   * using cpu = await createCpuRuntime({ threads: 1 });
   * using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 4 });
   * cache.append(new Float32Array(8).fill(3), new Float32Array(8));
   * console.log(cache.read().k[7]); // => 3
   * ```
   */
  read(): HeldTokens {
    this.#check();
    if (this.forgotten > 0) throw forgottenError('all tokens are read', this.forgotten);
    return readStore(this.#engine, this.#store);
  }

  /**
   * What the cache is, beside its pages: with them another cache of the same options goes on as this one would, in another process too.
   * Nothing may be appended between this and the last {@link readPage}.
   *
   * @example
   * ```ts
   * import { createCpuRuntime } from '@hip/kernels-cpu';
   * using cpu = await createCpuRuntime({ threads: 1 });
   * using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 4 });
   * cache.append(new Float32Array(8).fill(3), new Float32Array(8));
   * const saved = cache.save();
   * using again = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 4 });
   * again.restore(saved);
   * for (let page = 0; page < saved.pages; page++) again.writePage(page, cache.readPage(page));
   * console.log(again.length, again.read().k[7]); // => 2 3
   * ```
   */
  save(): SavedCache {
    this.#check();
    const { length: tokens, special } = this.#store;
    const { firstPage } = this.#store;
    return { tokens, pages: Math.ceil(tokens / PAGE_TOKENS), firstPage, special, searches: this.#searches.entries() };
  }

  /** Bytes of a page: see {@link save}. @throws HipError `invalid-shape` for a page that there is not, `internal` */
  readPage(page: number): Uint8Array<ArrayBuffer> {
    this.#check();
    return readPage(this.#engine, this.#store, page);
  }

  /**
   * Makes an empty cache what another was; its pages are to be written next, all of them, before anything else.
   *
   * @throws HipError `out-of-memory`, `unsupported` where this cache holds tokens; nothing has changed then
   */
  restore({ tokens, firstPage = 0, special, searches }: Omit<SavedCache, 'pages'>): void {
    this.#check();
    if (this.length > 0)
      throw new HipError('unsupported', `this cache holds ${this.length} tokens: restore into an empty one`, {
        length: this.length,
      });
    if (tokens > 0) this.#store.allocate(tokens, special, firstPage);
    this.#searches = new CacheSearches(this.config, MaskHistory.of(searches));
  }

  /** Writes a page that {@link readPage} gave. @throws HipError `invalid-shape` */
  writePage(page: number, bytes: Uint8Array): void {
    this.#check();
    writePage(this.#engine, this.#store, page, bytes);
  }

  /** Frees the memory; asynchronous calls that still run fail. */
  dispose(): void {
    if (!this.#disposed) this.#store[Symbol.dispose]();
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  *#hip(q: Float32Array, sliced: boolean): Steps<Attended> {
    return yield* this.#searches.rows(this.#call(this.#shape(q), sliced), q);
  }

  *#dense(q: Float32Array, sliced: boolean): Steps<Float32Array> {
    const shape = this.#shape(q);
    const output = new Float32Array(q.length);
    yield* denseSteps(this.#call(shape, sliced), q, output, this.config.causal);
    return output;
  }

  /** Steps of an asynchronous call, between which the cache may be disposed of but not appended to. */
  *#watched<T>(steps: Steps<T>): Steps<T> {
    this.#running++;
    try {
      for (;;) {
        this.#check();
        const { done, value } = steps.next();
        if (done) return value;
        yield value;
      }
    } finally {
      this.#running--;
      steps.return(undefined as never);
    }
  }

  #check(): void {
    this.#engine.checkOpen();
    if (this.#disposed) throw new HipError('internal', 'this cache is disposed: create another with createCache()');
  }

  #checkTokens(name: string, value: number): void {
    if (Number.isSafeInteger(value) && value >= 0 && value <= this.length) return;
    const message = `${name} is ${value}: give an integer from 0 to ${this.length}`;
    throw new HipError('invalid-config', message, { name, value });
  }

  #checkIdle(then: string): void {
    if (this.#running === 0) return;
    const message = `an asynchronous call still reads this cache: await it, then ${then}`;
    throw new HipError('unsupported', message, { running: this.#running });
  }

  /** @param mask whose window bounds what is read. @defaultValue all tokens are */
  #shape(q: Float32Array, mask?: BlockMask): AttentionShape {
    this.#check();
    const { batch, kvHeads, headDim } = this.#store.shape;
    const row = batch * this.#heads * headDim;
    const queries = countRows('q', q, row, 'batch·heads·headDim');
    const keys = this.length;
    if (queries < 1) throw new HipError('invalid-shape', 'q holds no row: give at least one', { queries });
    if (queries > keys)
      throw new HipError(
        'invalid-shape',
        `q holds ${queries} rows, the cache ${keys} tokens: append the rows' keys and values first`,
        { queries, keys },
      );
    const isNarrow = mask && mask.sink === 0 && mask.counts.every((count) => count === 0);
    const oldest = isNarrow ? Math.max(0, keys - queries + 1 - mask.window) : 0;
    if (oldest < this.forgotten) throw forgottenError(`rows attend to tokens from ${oldest} on`, this.forgotten);
    this.#engine.resetTimes();
    return { batch, queries, keys, heads: this.#heads, kvHeads, headDim };
  }

  #call(shape: AttentionShape, sliced: boolean): Call {
    return { engine: this.#engine, store: this.#store, shape, sliced, ...this.#scores };
  }
}

function forgottenError(what: string, forgotten: number): HipError {
  const message = `${what}, and the first ${forgotten} were given back: attend with the window that they lie behind, or compute them anew`;
  return new HipError('unsupported', message, { forgotten });
}
