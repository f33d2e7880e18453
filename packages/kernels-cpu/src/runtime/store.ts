// Keys and values inside WebAssembly memory: pages of 256 tokens found through a table, and the envelopes of their chunks.
import { HipError, type HipConfig, type Remainder } from '@hip/mask-search';
import {
  appendTokens,
  APPEND_RUN,
  envelopeBytes,
  envelopeChunks,
  meansBytes,
  meansRoom,
  pageBytes,
  paddedDim,
  PAGE_TOKENS,
  summariesOf,
  type CacheType,
  type Summary,
} from '../plan/layout.ts';
import { checkTensor, countRows } from './check.ts';
import type { Engine } from './engine.ts';
import { Scope } from './heap.ts';
import { JOB, type JobFields } from './job.ts';
import { Page } from './page.ts';

export interface StoreShape {
  readonly batch: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Room that was made for tokens which are not there yet. */
interface Growth {
  /** The tokens are there: what they replaced is released. */
  readonly keep: () => void;
  /** They never came: all is as before. */
  readonly undo: () => void;
}

/** Summaries of chunks [0, …) of keys [sink, …); `room` is what is allocated. */
interface Envelope {
  at: number;
  room: number;
  /** Keys summarised so far. */
  keys: number;
}

/** Means of base blocks and of blocks of them, from a sink on; `room` is the base blocks there is memory for. */
interface Means {
  readonly sink: number;
  readonly block: number;
  at: number;
  room: number;
  /** Base blocks there are means of, and those of them that are joined. */
  blocks: number;
  joined: number;
}

export class Store {
  readonly shape: StoreShape;
  readonly type: CacheType;
  readonly #engine: Engine;
  readonly #scope: Scope;
  #length = 0;
  #table = 0;
  /** Pages of a batch entry that the table has room for. */
  #tablePages = 0;
  /** Pages that exist; a fork may hold them too. */
  #pages: Page[] = [];
  readonly #envelopes = new Map<string, Envelope>();
  readonly #means = new Map<string, Means>();
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
    if (tokens === 0) return;
    this.#grow(tokens).keep();
  }

  /** Tokens held. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of pages, envelopes and means. */
  get bytes(): number {
    let total =
      this.shape.batch * this.#pages.length * pageBytes(this.shape, this.type) +
      this.shape.batch * this.#tablePages * 4;
    for (const { room } of this.#envelopes.values()) total += envelopeBytes(this.shape, room);
    for (const { room } of this.#means.values()) total += meansBytes(this.shape, room);
    return total;
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
    const growth = this.#grow(this.#length + tokens);
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

  /** Keeps the first `length` tokens; pages and envelopes keep their room. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
    // The chunk that lost keys is summarised anew: that of the last key there still is.
    for (const envelope of this.#envelopes.values())
      if (envelope.keys > length) envelope.keys = Math.max(0, length - 1);
    for (const means of this.#means.values()) {
      means.blocks = Math.min(means.blocks, Math.floor(Math.max(0, length - means.sink) / means.block));
      means.joined = Math.min(means.joined, means.blocks);
    }
  }

  /** Job fields that describe the store from batch entry `batch` on. */
  fields(batch: number): JobFields {
    const { kvHeads, headDim } = this.shape;
    return {
      KEYS: this.#length,
      KV_HEADS: kvHeads,
      HEAD_DIM: headDim,
      PADDED_DIM: paddedDim(headDim),
      PAGES: this.#table + batch * this.#tablePages * 4,
      PAGES_PER_BATCH: this.#tablePages,
      HALF: this.type === 'f16' ? 1 : 0,
      SPECIAL: this.#special ? 1 : 0,
    };
  }

  /** Brings the summaries of a configuration's stages up to date. */
  updateEnvelopes(config: Pick<HipConfig, 'sink' | 'stages'>): void {
    const { batch, kvHeads, headDim } = this.shape;
    const engine = this.#engine;
    for (const summary of summariesOf(config)) {
      const { chunk, score } = summary;
      const envelope = this.#envelope(config.sink, summary);
      const chunks = envelopeChunks(this.#length, config.sink, chunk);
      if (envelope.keys === this.#length || chunks === 0) continue;
      this.#makeRoom(envelope, chunks, this.#mostRoom(config.sink, chunk));
      // The last chunk may have been summarised before it was complete.
      const first = Math.max(0, Math.floor((envelope.keys - config.sink) / chunk));
      using scope = new Scope(engine.heap);
      const stride = 2 * paddedDim(headDim) * 4;
      const job = engine.job(scope, {
        ...this.fields(0),
        SINK: config.sink,
        ENVELOPE_STAGE: 0,
        FIRST_CHUNK: first,
        SCRATCH: scope.allocate(stride * engine.threads),
        SCRATCH_STRIDE: stride,
      });
      engine.heap
        .ints(job + JOB.STAGE, 7)
        .set([chunk, 0, 0, 0, score === 'deviation' ? 3 : 1, envelope.at, envelope.room]);
      engine.run('envelopes', job, batch * kvHeads * (chunks - first));
      envelope.keys = this.#length;
    }
  }

  /** Address (from batch entry `batch` on) and chunks per (batch, kv head) of an envelope. */
  envelope(sink: number, summary: Summary, batch: number): { readonly at: number; readonly room: number } {
    const { at, room } = this.#envelope(sink, summary);
    return { at: at + batch * this.shape.kvHeads * room * 2 * paddedDim(this.shape.headDim) * 4, room };
  }

  /** Job fields that describe the means of a remainder's blocks from batch entry `batch` on. */
  means(sink: number, { block }: Pick<Remainder, 'block'>, batch: number): JobFields {
    const { kvHeads, headDim } = this.shape;
    const means = this.#meansOf(sink, block);
    const bytes = 4 * means.room * paddedDim(headDim) * 4;
    return { MEANS: means.at + batch * kvHeads * bytes, MEANS_ROOM: means.room };
  }

  /** Brings the means of a remainder's blocks up to date: new base blocks, and what they complete. */
  updateMeans(sink: number, { block }: Pick<Remainder, 'block'>): void {
    const { batch, kvHeads, headDim } = this.shape;
    const engine = this.#engine;
    const means = this.#meansOf(sink, block);
    const blocks = Math.floor(Math.max(0, this.#length - sink) / block);
    if (means.blocks === blocks) return;
    const first = means.blocks;
    this.#makeMeansRoom(means, blocks);
    using scope = new Scope(engine.heap);
    const stride = paddedDim(headDim) * 4;
    const job = engine.job(scope, {
      ...this.fields(0),
      SINK: sink,
      MEANS_BLOCK: block,
      MEANS: means.at,
      MEANS_ROOM: means.room,
      MEANS_FIRST: first,
      JOIN_FIRST: means.joined,
      SCRATCH: scope.allocate(stride * engine.threads),
      SCRATCH_STRIDE: stride,
    });
    engine.run('blockMeans', job, batch * kvHeads * (blocks - first));
    engine.run('joinMeans', job, batch * kvHeads);
    means.blocks = means.joined = blocks;
  }

  /**
   * A store of the same tokens that goes on by itself: pages are shared until one of both writes into them, which then copies.
   *
   * @throws HipError `out-of-memory`
   */
  fork(): Store {
    const fork = new Store(this.#engine, this.shape, { type: this.type, maxTokens: this.#maxTokens });
    try {
      fork.#table = fork.#copyOf(this.#table, this.shape.batch * this.#tablePages * 4);
      for (const [key, envelope] of this.#envelopes) {
        const at = fork.#copyOf(envelope.at, envelopeBytes(this.shape, envelope.room));
        fork.#envelopes.set(key, { ...envelope, at });
      }
      for (const [key, means] of this.#means) {
        const at = fork.#copyOf(means.at, meansBytes(this.shape, means.room));
        fork.#means.set(key, { ...means, at });
      }
    } catch (error) {
      fork[Symbol.dispose]();
      throw error;
    }
    fork.#tablePages = this.#tablePages;
    fork.#pages = this.#pages.map((page) => page.hold());
    fork.#length = this.#length;
    fork.#special = this.#special;
    return fork;
  }

  /** A copy of `bytes` bytes; 0 where there are none. */
  #copyOf(from: number, bytes: number): number {
    if (bytes === 0 || from === 0) return 0;
    const at = this.#scope.allocate(bytes);
    copyBytes(this.#engine.heap.memory, from, at, bytes);
    return at;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
    for (const page of this.#pages) page.release();
    this.#pages = [];
    this.#length = this.#tablePages = 0;
    this.#envelopes.clear();
    this.#means.clear();
  }

  #envelope(sink: number, { score, chunk }: Summary): Envelope {
    const key = `${score} ${sink}/${chunk}`;
    let found = this.#envelopes.get(key);
    if (!found) this.#envelopes.set(key, (found = { at: 0, room: 0, keys: 0 }));
    return found;
  }

  #meansOf(sink: number, block: number): Means {
    const key = `${sink}/${block}`;
    let found = this.#means.get(key);
    if (!found) this.#means.set(key, (found = { sink, block, at: 0, room: 0, blocks: 0, joined: 0 }));
    return found;
  }

  /** Room for `blocks` base blocks and what they are joined to, which is done anew where they move. */
  #makeMeansRoom(means: Means, blocks: number): void {
    if (means.room >= blocks) return;
    const { batch, kvHeads, headDim } = this.shape;
    const tokens = this.#maxTokens === Infinity ? means.sink + blocks * means.block : this.#maxTokens;
    const room = meansRoom(tokens, means.sink, means.block);
    const at = this.#scope.allocate(meansBytes(this.shape, room));
    const row = 2 * paddedDim(headDim) * 4;
    const bytes = new Uint8Array(this.#engine.heap.memory.buffer);
    for (let bh = 0; bh < batch * kvHeads; bh++) {
      const from = means.at + bh * 2 * means.room * row;
      bytes.copyWithin(at + bh * 2 * room * row, from, from + means.blocks * row);
    }
    if (means.room > 0) this.#scope.release(means.at);
    means.at = at;
    means.room = room;
    means.joined = 0;
  }

  /** Chunks there will ever be; unbounded where no `maxTokens` is known. */
  #mostRoom(sink: number, chunk: number): number {
    return this.#maxTokens === Infinity ? Infinity : envelopeChunks(this.#maxTokens, sink, chunk);
  }

  /** Room for `chunks`: all there will ever be where that is known, else exactly that at first, doubled when it grows. */
  #makeRoom(envelope: Envelope, chunks: number, most: number): void {
    if (envelope.room >= chunks) return;
    const room = most === Infinity ? Math.max(chunks, 2 * envelope.room) : most;
    const at = this.#scope.allocate(envelopeBytes(this.shape, room));
    const row = 2 * paddedDim(this.shape.headDim) * 4;
    const bytes = new Uint8Array(this.#engine.heap.memory.buffer);
    for (let bh = 0; bh < this.shape.batch * this.shape.kvHeads; bh++) {
      const from = envelope.at + bh * envelope.room * row;
      bytes.copyWithin(at + bh * room * row, from, from + envelope.room * row);
    }
    if (envelope.room > 0) this.#scope.release(envelope.at);
    envelope.at = at;
    envelope.room = room;
  }

  /**
   * Makes room for `tokens` tokens in all, in pages that no other store reads, or throws and changes nothing.
   */
  #grow(tokens: number): Growth {
    const { batch } = this.shape;
    const { heap } = this.#engine;
    const before = { table: this.#table, tablePages: this.#tablePages, pages: this.#pages };
    const needed = Math.ceil(tokens / PAGE_TOKENS);
    const bytes = pageBytes(this.shape, this.type);
    const first = Math.floor(this.#length / PAGE_TOKENS);
    if (needed <= before.pages.length && !before.pages.slice(first, needed).some(({ shared }) => shared))
      return { keep: () => {}, undo: () => {} };
    const pages = [...before.pages];
    const fresh: number[] = [];
    const isMoved = needed > before.tablePages;
    try {
      for (let index = first; index < needed; index++) {
        if (pages[index]?.shared === false) continue;
        pages[index] = new Page(heap, batch * bytes);
        fresh.push(index);
      }
      if (isMoved) this.#moveTable(needed);
    } catch (error) {
      for (const index of fresh) pages[index]!.release();
      throw error;
    }
    this.#pages = pages;
    this.#list(fresh);
    // The first page written to may hold tokens already.
    if (fresh[0] === first && this.#length % PAGE_TOKENS !== 0)
      copyBytes(heap.memory, before.pages[first]!.at, pages[first]!.at, batch * bytes);
    return {
      keep: () => {
        for (const index of fresh) before.pages[index]?.release();
        if (isMoved && before.tablePages > 0) this.#scope.release(before.table);
      },
      undo: () => {
        for (const index of fresh) pages[index]!.release();
        if (isMoved) this.#scope.release(this.#table);
        this.#table = before.table;
        this.#tablePages = before.tablePages;
        this.#pages = before.pages;
        this.#list(fresh.filter((index) => index < before.pages.length));
      },
    };
  }

  /** Writes where pages lie into the table. */
  #list(indices: readonly number[]): void {
    const { batch } = this.shape;
    const bytes = pageBytes(this.shape, this.type);
    const words = this.#engine.heap.ints(this.#table, batch * this.#tablePages);
    for (const index of indices)
      for (let b = 0; b < batch; b++) words[b * this.#tablePages + index] = this.#pages[index]!.at + b * bytes;
  }

  /** A table of `needed` pages or more; the old one is left where it is. */
  #moveTable(needed: number): void {
    const { batch } = this.shape;
    const { heap } = this.#engine;
    const most = Math.ceil(this.#maxTokens / PAGE_TOKENS);
    const room = most === Infinity ? Math.max(needed, 2 * this.#tablePages) : most;
    const at = this.#scope.allocate(batch * room * 4);
    const words = heap.ints(at, batch * room);
    if (this.#tablePages > 0) {
      const old = heap.ints(this.#table, batch * this.#tablePages);
      for (let b = 0; b < batch; b++)
        words.set(old.subarray(b * this.#tablePages, (b + 1) * this.#tablePages), b * room);
    }
    this.#table = at;
    this.#tablePages = room;
  }
}

function copyBytes(memory: WebAssembly.Memory, from: number, to: number, bytes: number): void {
  new Uint8Array(memory.buffer).copyWithin(to, from, from + bytes);
}
