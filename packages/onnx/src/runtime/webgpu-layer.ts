// One layer's keys and values of one text on the GPU, in pages that forks share, and attention over them.
import {
  GpuCall,
  GpuDecodeSession,
  uploadTensor,
  type GpuContext,
  type GpuTensor,
  type KvCache,
  type SharedScratch,
} from '@hip/kernels-webgpu';
import { attends, type LayerRule } from '@hip/mask-search';
import { SINK_CHANNELS } from '../cut/adapt.ts';
import { scaleOf, type HeadSizes, type KeysAndValues, type LayerCache, type LayerForm } from './backend.ts';
import { freePages, type LayerPages, type PagePool } from './webgpu-pages.ts';
import { copiedPlace, placeIn, readTokens, type GpuPlace } from './webgpu-place.ts';
import { attendWindowWithSink } from './webgpu-window.ts';

/** Tokens that a cache has room for at first, and beyond what it needs when it grows. */
const FIRST_TOKENS = 512;

/** What a layer is made by. */
export interface GpuLayerParts {
  readonly context: GpuContext;
  readonly rule: LayerRule;
  readonly form: LayerForm;
  readonly sizes: HeadSizes;
  readonly pages: LayerPages;
  /** Of all layers and texts. */
  readonly scratch: SharedScratch;
}

/** Rows of one call: q, out [rows, heads, channels], k, v [rows, kvHeads, channels]. */
export interface GpuRows {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly out: GpuTensor;
}

export class GpuLayer implements LayerCache {
  readonly #parts: GpuLayerParts;
  #pool: PagePool;
  #cache: KvCache;
  #session: GpuDecodeSession | undefined;
  /** Tokens that count, a sink included: fewer than the cache holds after a call that failed. */
  #length = 0;
  /** Tokens were appended that no step has seen: the next one reads them all, wherever their pages are. */
  #isBehind = false;

  /** @throws HipError `out-of-memory`, `invalid-config`, `unsupported` */
  constructor(parts: GpuLayerParts, place: GpuPlace = placeIn(parts.pages, FIRST_TOKENS)) {
    this.#parts = parts;
    this.#pool = place.pool;
    this.#cache = place.cache;
  }

  /** An empty one with room for so many tokens. */
  static create(parts: GpuLayerParts, tokens: number): GpuLayer {
    return new GpuLayer(parts, placeIn(parts.pages, tokens + FIRST_TOKENS));
  }

  get #sinks(): number {
    return this.#parts.form.hasSink ? 1 : 0;
  }

  get length(): number {
    return this.#length - this.#sinks;
  }

  get bytes(): number {
    const { pool, pages } = this.#cache;
    const pageBytes = pool.pools.reduce((sum, part) => sum + 2 * part.pageBytes, 0);
    return pages.length * pageBytes + (this.#session?.bytes ?? 0);
  }

  /** Tokens that one call of {@link step} takes. */
  get chunkTokens(): number {
    const { pool } = this.#cache;
    // Half of what is on the device is then free for others.
    return pool.offload ? Math.max(1, pool.plan.slots >> 1) * pool.pageTokens : Infinity;
  }

  /** The key that stands for the sinks, see `cut/adapt.ts`. */
  appendSink(): void {
    const { kvHeads, headDim } = this.#parts.sizes;
    const k = new Float32Array(kvHeads * headDim);
    for (let head = 0; head < kvHeads; head++) k[(head + 1) * headDim - SINK_CHANNELS] = 1;
    this.#appendPart(k, new Float32Array(k.length));
  }

  /** Pages that are full get copies on the host, so that they may leave. */
  async #settle(): Promise<void> {
    const { pool } = this.#cache;
    if (pool.offload) await pool.settle();
  }

  async append({ k, v }: KeysAndValues): Promise<void> {
    const { kvHeads, headDim } = this.#parts.sizes;
    const row = kvHeads * headDim;
    const part = Math.min(this.chunkTokens, k.length / row) * row;
    for (let at = 0; at < k.length; at += part) {
      this.#appendPart(k.subarray(at, at + part), v.subarray(at, at + part));
      await this.#settle();
    }
    this.#isBehind = true;
  }

  #appendPart(k: Float32Array, v: Float32Array): void {
    const { context, sizes, pages } = this.#parts;
    const { type } = pages.options;
    const tokens = k.length / (sizes.kvHeads * sizes.headDim);
    this.#makeRoom(tokens);
    const [keys, values] = [k, v].map((numbers) => uploadTensor(context, numbers, type, 'cache of numbers'));
    try {
      using call = new GpuCall(context);
      this.#cache.append(call, keys!, values!, tokens);
      call.submit();
    } finally {
      keys!.buffer.destroy();
      values!.buffer.destroy();
    }
    this.#length = this.#cache.length;
  }

  /** Appends the rows' tokens, at most {@link chunkTokens}, and attends from them: one submit, more with pages on the host. */
  async step(rows: GpuRows, tokens: number): Promise<void> {
    this.#makeRoom(tokens);
    const { rule, form } = this.#parts;
    const isWindow = attends(rule, this.length + tokens, tokens) === 'window';
    const { pool } = this.#cache;
    if (isWindow && form.hasSink) attendWindowWithSink(this.#parts, this.#cache, rows, tokens);
    else if (tokens > 1) this.#decoder().prefill(rows, tokens);
    else if (!pool.offload) this.#decoder().step(rows);
    else if (this.#isBehind) this.#decoder().prefill(rows, 1);
    else await this.#decoder().stepOffloaded(rows);
    this.#isBehind = false;
    await this.#settle();
    this.#length = this.#cache.length;
  }

  #decoder(): GpuDecodeSession {
    if (this.#session) return this.#session;
    const { rule, form, sizes, scratch } = this.#parts;
    const { rows, question, step } = rule.denseBelow;
    const sinks = this.#sinks;
    const options = {
      heads: sizes.heads,
      config: rule.config ?? ('dense' as const),
      denseBelow: { rows: rows + sinks, question: question + sinks, step: step + sinks },
      window: form.window > 0 && !form.hasSink ? form.window : undefined,
      scale: scaleOf(form, sizes),
      softcap: form.softcap || undefined,
    };
    this.#session = new GpuDecodeSession(this.#cache, options, scratch);
    return this.#session;
  }

  truncate(length: number): void {
    this.#length = Math.min(this.#length, length + this.#sinks);
  }

  fork(length: number): LayerCache {
    const { form, pages } = this.#parts;
    const tokens = length + this.#sinks;
    // Windows with sinks read rows in order, which pages of several texts are not.
    if (form.hasSink && form.window > 0) {
      const copy = new GpuLayer(this.#parts, copiedPlace(pages, this.#cache, tokens, tokens + FIRST_TOKENS));
      copy.#length = tokens;
      return copy;
    }
    const session = this.#session?.fork();
    const cache = session?.cache ?? this.#cache.fork();
    const fork = new GpuLayer(this.#parts, { pool: pages.share(this.#pool), cache });
    fork.#session = session;
    fork.#isBehind = this.#isBehind;
    fork.#length = Math.min(tokens, cache.length);
    return fork;
  }

  /** Room for more tokens; what does not count any more is dropped first. */
  #makeRoom(tokens: number): void {
    const { pages } = this.#parts;
    const { maxTokens } = pages.options;
    const needed = this.#length + tokens;
    const cache = this.#cache;
    const { pool } = cache;
    if (this.#length < cache.length) {
      if (this.#session) this.#session.truncate(this.#length);
      else cache.truncate(this.#length);
    }
    // Beyond the longest text the cache itself refuses.
    if (pool.offload || (maxTokens !== undefined && needed > cache.maxTokens)) return;
    // One more where the last page is another's, too.
    const wanted = Math.ceil(needed / pool.pageTokens) - cache.pages.length + (this.#pool.holders > 1 ? 1 : 0);
    if (needed <= cache.maxTokens && wanted <= freePages(pool)) return;
    // Half as much again: what is copied by then is copied twice at most, a layer at a time.
    const grown = Math.max(needed + FIRST_TOKENS, Math.ceil(1.5 * this.#length));
    const before = { cache, pool: this.#pool };
    const moved = copiedPlace(pages, cache, this.#length, grown);
    this.#session?.destroy();
    this.#session = undefined;
    this.#pool = moved.pool;
    this.#cache = moved.cache;
    before.cache.dispose();
    pages.give(before.pool);
  }

  read(length: number): Promise<KeysAndValues> {
    return readTokens(this.#cache, { first: this.#sinks, length });
  }

  [Symbol.dispose](): void {
    this.#session?.destroy();
    this.#session = undefined;
    this.#cache.dispose();
    this.#parts.pages.give(this.#pool);
  }
}
