// Keys and values inside WebAssembly memory: pages of 256 tokens found through a table; and what is made of them beside.
import { HipError, type HipConfig } from '@hip/mask-search';
import { appendTokens, APPEND_RUN, paddedDim, PAGE_TOKENS, type CacheType } from '../plan/layout.ts';
import { checkTensor, countRows } from '../runtime/check.ts';
import type { Engine } from '../runtime/engine.ts';
import { Scope } from '../runtime/heap.ts';
import { JOB, type JobFields } from '../runtime/job.ts';
import { BlockMeans } from './block-means.ts';
import { CompactKeys } from './compact-keys.ts';
import { PageTable } from './page-table.ts';
import { Summaries } from './summaries.ts';
import type { Ground, StoreShape } from './table.ts';

export class Store {
  readonly shape: StoreShape;
  readonly type: CacheType;
  readonly #engine: Engine;
  readonly #scope: Scope;
  #length = 0;
  #firstPage = 0;
  #pages: PageTable;
  #summaries: Summaries;
  #compactKeys: CompactKeys;
  #means: BlockMeans;
  readonly #maxTokens: number;
  /** NaN or infinity has been stored, which takes longer to read. */
  #special = false;

  /** @param tokens room to make at once; the store grows beyond it page by page up to `maxTokens` */
  constructor(
    engine: Engine,
    shape: StoreShape,
    { type = 'f32', tokens = 0, maxTokens = Infinity }: { type?: CacheType; tokens?: number; maxTokens?: number } = {},
  ) {
    this.shape = shape;
    this.type = type;
    this.#engine = engine;
    this.#scope = new Scope(engine.heap);
    this.#maxTokens = maxTokens;
    const ground = this.#ground;
    this.#pages = new PageTable(ground, type);
    this.#summaries = new Summaries(ground);
    this.#compactKeys = new CompactKeys(ground);
    this.#means = new BlockMeans(ground);
    if (tokens === 0) return;
    this.#pages.grow(0, tokens).keep();
  }

  get #ground(): Ground {
    return { engine: this.#engine, scope: this.#scope, shape: this.shape, maxTokens: this.#maxTokens };
  }

  /** Summaries of chunks, compact keys, means of a remainder's blocks: what `update` and `updateMeans` bring up to date. */
  get summaries(): Summaries {
    return this.#summaries;
  }

  get compactKeys(): CompactKeys {
    return this.#compactKeys;
  }

  get means(): BlockMeans {
    return this.#means;
  }

  /** Tokens held. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of pages and of what is made of them. */
  get bytes(): number {
    return this.#parts.reduce((total, { bytes }) => total + bytes, this.#pages.bytes);
  }

  get #parts(): readonly (Summaries | CompactKeys | BlockMeans)[] {
    return [this.#summaries, this.#compactKeys, this.#means];
  }

  /**
   * Appends k, v [B, tokens, Hkv, d]. What it throws changes nothing.
   *
   * @throws HipError `invalid-shape`, `out-of-memory` beyond `maxTokens` or the memory's end, `internal` when a thread has ended
   */
  append(k: Float32Array, v: Float32Array): void {
    const { batch, kvHeads, headDim } = this.shape;
    const tokenFloats = kvHeads * headDim;
    const tokens = countRows('k', k, batch * tokenFloats, 'batch·kvHeads·headDim');
    checkTensor('v', v, k.length);
    if (tokens === 0) return;
    if (this.#length + tokens > this.#maxTokens) {
      throw new HipError(
        'out-of-memory',
        `the cache would hold ${this.#length + tokens} tokens: it was made for ${this.#maxTokens}`,
        { tokens: this.#length + tokens, maxTokens: this.#maxTokens },
      );
    }
    const start = performance.now();
    const growth = this.#pages.grow(this.#length, this.#length + tokens);
    try {
      this.#write(k, v, tokens);
    } catch (error) {
      growth.undo();
      throw error;
    }
    growth.keep();
    this.#length += tokens;
    this.#engine.times.append += performance.now() - start;
  }

  /** Copies `tokens` tokens of each batch entry behind those that are held. */
  #write(k: Float32Array, v: Float32Array, tokens: number): void {
    const { batch, kvHeads, headDim } = this.shape;
    const tokenFloats = kvHeads * headDim;
    const engine = this.#engine;
    using scope = new Scope(engine.heap);
    const step = Math.min(tokens, appendTokens(this.shape));
    const keysAt = scope.allocate(step * tokenFloats * 4);
    const valuesAt = v === k ? keysAt : scope.allocate(step * tokenFloats * 4);
    const stride = paddedDim(headDim) * 4;
    const job = engine.job(scope, {
      ...this.fields(0),
      RAW_KEYS: keysAt,
      RAW_VALUES: valuesAt,
      SCRATCH: scope.allocate(stride * engine.threads),
      SCRATCH_STRIDE: stride,
    });
    for (let b = 0; b < batch; b++) {
      for (let token = 0; token < tokens; token += step) {
        const count = Math.min(step, tokens - token);
        const from = (b * tokens + token) * tokenFloats;
        engine.heap.floats(keysAt, count * tokenFloats).set(k.subarray(from, from + count * tokenFloats));
        if (v !== k)
          engine.heap.floats(valuesAt, count * tokenFloats).set(v.subarray(from, from + count * tokenFloats));
        engine.set(job, { ...this.fields(b), FIRST_TOKEN: this.#length + token, TOKENS: count });
        engine.run('append', job, Math.ceil(count / APPEND_RUN));
        if (engine.heap.ints(job + JOB.SPECIAL, 1)[0] !== 0) this.#special = true;
      }
    }
  }

  /** Whether NaN or infinity has been stored. */
  get special(): boolean {
    return this.#special;
  }

  /** Of an empty store: room for tokens whose pages are written next. @throws HipError `out-of-memory`; nothing has changed then */
  allocate(tokens: number, special: boolean, firstPage = 0): void {
    this.#pages.grow(0, tokens).keep();
    this.#length = tokens;
    this.#special = special;
    this.forget(firstPage * PAGE_TOKENS);
  }

  /** Place of the first page that is there. */
  get firstPage(): number {
    return this.#firstPage;
  }

  /** Gives back pages that hold only the first `tokens` tokens. */
  forget(tokens: number): void {
    const count = Math.floor(Math.min(tokens, this.#length) / PAGE_TOKENS);
    if (count <= this.#firstPage) return;
    this.#pages.forget(count);
    this.#firstPage = count;
  }

  /** Keeps the first `length` tokens; pages and tables keep their room. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
    if (length === 0) this.#firstPage = 0;
    for (const part of this.#parts) part.truncate(length);
  }

  /** Job fields that describe the store from batch entry `batch` on. */
  fields(batch: number): JobFields {
    const { kvHeads, headDim } = this.shape;
    return {
      KEYS: this.#length,
      KV_HEADS: kvHeads,
      HEAD_DIM: headDim,
      PADDED_DIM: paddedDim(headDim),
      PAGES: this.#pages.at + batch * this.#pages.room * 4,
      PAGES_PER_BATCH: this.#pages.room,
      HALF: this.type === 'f16' ? 1 : 0,
      SPECIAL: this.#special ? 1 : 0,
    };
  }

  /** Brings what a configuration's stages read beside the pages up to date. */
  update(config: Pick<HipConfig, 'sink' | 'stages'>): void {
    const source = { length: this.#length, fields: this.fields(0) };
    this.#summaries.update(source, config);
    this.#compactKeys.update(source, config);
  }

  /** Brings the means of a remainder's blocks up to date. */
  updateMeans(sink: number, remainder: { readonly block: number }): void {
    this.#means.update({ length: this.#length, fields: this.fields(0) }, sink, remainder);
  }

  /**
   * A store of the same tokens that goes on by itself: pages are shared until one of both writes into them, which then copies.
   *
   * @throws HipError `out-of-memory`
   */
  fork(): Store {
    const fork = new Store(this.#engine, this.shape, { type: this.type, maxTokens: this.#maxTokens });
    const ground = fork.#ground;
    try {
      fork.#summaries = this.#summaries.fork(ground);
      fork.#compactKeys = this.#compactKeys.fork(ground);
      fork.#means = this.#means.fork(ground);
      fork.#pages = this.#pages.fork(ground);
    } catch (error) {
      fork[Symbol.dispose]();
      throw error;
    }
    fork.#length = this.#length;
    fork.#firstPage = this.#firstPage;
    fork.#special = this.#special;
    return fork;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
    this.#length = 0;
    this.#pages.clear();
    for (const part of this.#parts) part.clear();
  }
}
