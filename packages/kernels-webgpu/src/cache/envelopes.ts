// The envelopes of a growing cache, one buffer per chunk length and view, brought up to date before a search.
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import { encodeEnvelope, type Envelopes, type Summary } from '../search/envelopes.ts';
import { envelopeBytes, envelopeRows, roleOf, type SearchPlan } from '../search/plan.ts';
import type { CacheView } from './view.ts';

/** Chunks that are stale: [firstChunk, endChunk). */
export interface StaleChunks {
  readonly firstChunk: number;
  readonly endChunk: number;
}

/** Envelopes of one view. */
export class CacheEnvelopes implements Envelopes {
  /** Chunk sizes of the summaries, each once. */
  readonly chunks: readonly number[];
  readonly #summaries: readonly Summary[];
  readonly #sink: number;
  readonly #maxTokens: number;
  readonly #buffers = new Map<string, GPUBuffer>();
  /** Tokens that the envelopes know. */
  #known = 0;

  /** @param plan of a search over the view; its envelopes' chunks and the sink are taken from it */
  constructor(call: Pick<GpuCall, 'context'>, plan: SearchPlan, maxTokens: number) {
    const { config, shape } = plan.request;
    this.#summaries = plan.envelopes;
    this.chunks = [...new Set(plan.envelopes.map(({ chunk }) => chunk))];
    this.#sink = config.sink;
    this.#maxTokens = maxTokens;
    for (const summary of plan.envelopes) {
      const bytes = envelopeBytes({ ...shape, batch: 1 }, this.rows(summary.chunk), summary.store);
      const role = roleOf(summary);
      this.#buffers.set(role, createBuffer(call.context, bytes, 0x80 | 0x08 | 0x04, role)); // STORAGE | COPY_DST | COPY_SRC
    }
  }

  rows(chunk: number): number {
    return Math.max(1, envelopeRows(this.#maxTokens, this.#sink, chunk));
  }

  buffer(summary: Summary): BufferRange {
    return { buffer: this.#buffers.get(roleOf(summary))! };
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
    for (const summary of this.#summaries) {
      const { chunk } = summary;
      encodeEnvelope(call, plan, {
        ...summary,
        k: view.k,
        pages: view.pages?.table,
        envelope: this.buffer(summary),
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
    for (const summary of this.#summaries) {
      const { chunk } = summary;
      const endChunk = Math.ceil(tokens / chunk) + 1;
      encodeEnvelope(call, plan, {
        ...summary,
        k: view.k,
        pages: view.pages?.table,
        envelope: this.buffer(summary),
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

  /** The first token that the next update reads. */
  get oldestStale(): number {
    const sink = this.#sink;
    return Math.min(
      ...this.chunks.map((chunk) => sink + Math.floor(Math.max(0, this.#known - sink) / chunk) * chunk),
      this.#known,
    );
  }

  /** Counts everything up to `keys` as taken in. */
  know(keys: number): void {
    this.#known = keys;
  }

  /** Tokens that a prepared call of `tokens` at a time would leave out. */
  behind(keys: number, tokens: number): boolean {
    return keys - this.#known > tokens;
  }

  /** Copies everything to another of the same plan and tokens. */
  copyTo(call: GpuCall, other: CacheEnvelopes): void {
    if (this.#known > 0)
      for (const [role, buffer] of this.#buffers) call.copy(buffer, 0, other.#buffers.get(role)!, 0, buffer.size);
    other.#known = this.#known;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
  }
}
