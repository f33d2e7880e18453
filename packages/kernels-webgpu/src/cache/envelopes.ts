// The envelopes of a growing cache, one buffer per chunk length and view, brought up to date before a search.
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import { encodeEnvelope, type Envelopes } from '../search/envelopes.ts';
import { envelopeBytes, envelopeRows, type SearchPlan } from '../search/plan.ts';
import type { CacheView } from './kv-cache.ts';

/** Chunks that are stale: [firstChunk, endChunk). */
export interface StaleChunks {
  readonly firstChunk: number;
  readonly endChunk: number;
}

/** Envelopes of one view. */
export class CacheEnvelopes implements Envelopes {
  readonly chunks: readonly number[];
  readonly #sink: number;
  readonly #maxTokens: number;
  readonly #buffers = new Map<number, GPUBuffer>();
  /** Tokens that the envelopes know. */
  #known = 0;

  /** @param plan of a search over the view; its envelopes' chunks and the sink are taken from it */
  constructor(call: Pick<GpuCall, 'context'>, plan: SearchPlan, maxTokens: number) {
    const { config, shape, type } = plan.request;
    this.chunks = plan.envelopes;
    this.#sink = config.sink;
    this.#maxTokens = maxTokens;
    for (const chunk of this.chunks) {
      const bytes = envelopeBytes({ ...shape, batch: 1 }, this.rows(chunk), type);
      this.#buffers.set(chunk, createBuffer(call.context, bytes, 0x80 | 0x08 | 0x04, `envelope of ${chunk}`)); // STORAGE | COPY_DST | COPY_SRC
    }
  }

  rows(chunk: number): number {
    return Math.max(1, envelopeRows(this.#maxTokens, this.#sink, chunk));
  }

  buffer(chunk: number): BufferRange {
    return { buffer: this.#buffers.get(chunk)! };
  }

  /** Bytes on the device. */
  get bytes(): number {
    let total = 0;
    for (const { size } of this.#buffers.values()) total += size;
    return total;
  }

  /** What `keys` tokens make stale. */
  stale(chunk: number, keys: number): StaleChunks {
    const sink = this.#sink;
    return {
      firstChunk: Math.floor(Math.max(0, this.#known - sink) / chunk),
      endChunk: envelopeRows(keys, sink, chunk),
    };
  }

  /** Adds the passes that take in everything up to `keys`. */
  update(call: GpuCall, plan: Pick<SearchPlan, 'request'>, view: CacheView, keys: number): void {
    for (const chunk of this.chunks) {
      encodeEnvelope(call, plan, {
        k: view.k,
        pages: view.pages?.table,
        envelope: this.buffer(chunk),
        chunk,
        chunks: this.rows(chunk),
        keys,
        ...this.stale(chunk, keys),
      });
    }
    this.#known = keys;
  }

  /** The passes of a prepared call that takes in at most `tokens` at a time. */
  prepare(
    call: GpuCall,
    plan: Pick<SearchPlan, 'request'>,
    view: CacheView,
    tokens: number,
    uniform: (chunk: number) => BufferRange,
  ): void {
    for (const chunk of this.chunks) {
      const endChunk = Math.ceil(tokens / chunk) + 1;
      encodeEnvelope(call, plan, {
        k: view.k,
        pages: view.pages?.table,
        envelope: this.buffer(chunk),
        chunk,
        chunks: this.rows(chunk),
        keys: this.#maxTokens,
        firstChunk: 0,
        endChunk,
        uniform: uniform(chunk),
      });
    }
  }

  /** Tokens that count as taken in. */
  get known(): number {
    return this.#known;
  }

  /** Counts everything up to `keys` as taken in. */
  know(keys: number): void {
    this.#known = keys;
  }

  /** Tokens that a prepared call of `tokens` at a time would leave out. */
  behind(keys: number, tokens: number): boolean {
    return keys - this.#known > tokens;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
  }
}
