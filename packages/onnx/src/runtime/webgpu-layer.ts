// One layer's keys and values of one text on the GPU: a pool of pages that doubles when it is full, and attention over it.
import {
  encodeAttention,
  GpuCall,
  GpuDecodeSession,
  KvCache,
  KvPool,
  destroyMask,
  readTensor,
  SharedScratch,
  uploadMask,
  uploadTensor,
  type ElementType,
  type GpuContext,
  type GpuMask,
  type GpuTensor,
} from '@hip/kernels-webgpu';
import { denseMask } from '@hip/mask-search';
import { SINK_CHANNELS } from '../cut/adapt.ts';
import { attentionKind, type LayerPlan } from './attention-options.ts';
import { scaleOf, type HeadSizes, type KeysAndValues, type LayerCache, type LayerForm } from './backend.ts';

/** Tokens that a cache has room for at first. */
const FIRST_TOKENS = 512;

/** What a layer is made by. */
export interface GpuLayerParts {
  readonly context: GpuContext;
  readonly plan: LayerPlan;
  readonly form: LayerForm;
  readonly sizes: HeadSizes;
  readonly type: ElementType;
  /** Room that is made at once; more is not allowed. */
  readonly maxTokens: number | undefined;
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
  #cache: KvCache;
  #session: GpuDecodeSession | undefined;
  /** Tokens that count, a sink included: fewer than the cache holds after a call that failed. */
  #length = 0;

  /** @throws HipError `out-of-memory`, `invalid-config` */
  constructor(parts: GpuLayerParts, tokens = parts.maxTokens ?? FIRST_TOKENS) {
    this.#parts = parts;
    this.#cache = this.#newCache(tokens);
  }

  get #sinks(): number {
    return this.#parts.form.hasSink ? 1 : 0;
  }

  get length(): number {
    return this.#length - this.#sinks;
  }

  get bytes(): number {
    return this.#cache.pool.plan.bytes + (this.#session?.bytes ?? 0);
  }

  #newCache(tokens: number): KvCache {
    const { context, sizes, type, maxTokens } = this.#parts;
    const room = maxTokens === undefined ? tokens : maxTokens + this.#sinks;
    return new KvCache(new KvPool(context, { kvHeads: sizes.kvHeads, headDim: sizes.headDim, type, tokens: room }));
  }

  /** The key that stands for the sinks, see `cut/adapt.ts`. */
  appendSink(): void {
    const { kvHeads, headDim } = this.#parts.sizes;
    const k = new Float32Array(kvHeads * headDim);
    for (let head = 0; head < kvHeads; head++) k[(head + 1) * headDim - SINK_CHANNELS] = 1;
    this.append({ k, v: new Float32Array(k.length) });
  }

  append({ k, v }: KeysAndValues): void {
    const { context, sizes, type } = this.#parts;
    const tokens = k.length / (sizes.kvHeads * sizes.headDim);
    if (tokens === 0) return;
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

  /** Appends the rows' tokens and attends from them: one submit. */
  step(rows: GpuRows, tokens: number): void {
    this.#makeRoom(tokens);
    const { plan, form } = this.#parts;
    const isWindow = attentionKind(plan, form.window, this.length + tokens, tokens) === 'window';
    if (isWindow && form.hasSink) this.#attendWindow(rows, tokens);
    else if (tokens === 1) this.#decoder().step(rows);
    else this.#decoder().prefill(rows, tokens);
    this.#length = this.#cache.length;
  }

  #decoder(): GpuDecodeSession {
    if (this.#session) return this.#session;
    const { plan, form, sizes, scratch } = this.#parts;
    const { rows, step } = plan.denseBelow;
    const options = {
      heads: sizes.heads,
      config: plan.config ?? ('dense' as const),
      denseBelow: { rows: rows + this.#sinks, step: step + this.#sinks },
      window: form.window > 0 && !form.hasSink ? form.window : undefined,
      scale: scaleOf(form, sizes),
      softcap: form.softcap || undefined,
    };
    this.#session = new GpuDecodeSession(this.#cache, options, scratch);
    return this.#session;
  }

  /** Attention over the window and the sinks, which the decoder's windows leave out. */
  #attendWindow({ q, k, v, out }: GpuRows, tokens: number): void {
    const { context, form, sizes } = this.#parts;
    const cache = this.#cache;
    const { heads, kvHeads, headDim } = sizes;
    const { window } = form;
    using call = new GpuCall(context);
    cache.append(call, k, v, tokens);
    const group = heads / kvHeads;
    const keys = cache.length;
    let mask: GpuMask | undefined;
    try {
      for (const view of cache.views()) {
        const shape = {
          batch: 1,
          queries: tokens,
          keys,
          heads: view.kvHeads * group,
          kvHeads: view.kvHeads,
          headDim,
        };
        mask ??= uploadMask(context, { ...denseMask({ ...shape, heads }, true), window, sink: this.#sinks });
        encodeAttention(call, { q, k: view.k, v: view.v, out }, shape, mask, {
          scale: scaleOf(form, sizes),
          softcap: form.softcap || undefined,
          queryHeads: heads,
          headFirst: view.firstKvHead * group,
        });
      }
      call.submit();
    } finally {
      if (mask) destroyMask(mask);
    }
  }

  truncate(length: number): void {
    this.#length = Math.min(this.#length, length + this.#sinks);
  }

  fork(length: number): LayerCache {
    const fork = new GpuLayer(this.#parts, this.#cache.maxTokens);
    fork.#take(this.#cache, length + this.#sinks);
    return fork;
  }

  /** Room for more tokens; what does not count any more is dropped first. */
  #makeRoom(tokens: number): void {
    const { maxTokens } = this.#parts;
    const needed = this.#length + tokens;
    const before = this.#cache;
    if (this.#length < before.length) {
      if (this.#session) this.#session.truncate(this.#length);
      else before.truncate(this.#length);
    }
    if (maxTokens !== undefined || needed <= before.maxTokens) return;
    // Half as much again: what is copied by then is copied twice at most, a layer at a time.
    this.#cache = this.#newCache(Math.max(needed + FIRST_TOKENS, Math.ceil(1.5 * before.maxTokens)));
    this.#session?.destroy();
    this.#session = undefined;
    this.#take(before, this.#length);
    release(before);
  }

  /** Copies the first tokens of another cache of the same sizes, on the GPU. */
  #take(source: KvCache, tokens: number): void {
    this.#length = tokens;
    if (tokens === 0) return;
    const target = this.#cache;
    target.reserve(tokens);
    const { device } = this.#parts.context;
    const encoder = device.createCommandEncoder();
    for (const [i, part] of source.pool.pools.entries()) {
      const own = target.pool.pools[i]!;
      const bytes = tokens * (part.pageBytes / source.pool.pageTokens);
      encoder.copyBufferToBuffer(part.k.buffer, 0, own.k.buffer, 0, bytes);
      encoder.copyBufferToBuffer(part.v.buffer, 0, own.v.buffer, 0, bytes);
    }
    device.queue.submit([encoder.finish()]);
    target.advance(tokens);
  }

  async read(length: number): Promise<KeysAndValues> {
    const { context, sizes } = this.#parts;
    const { kvHeads, headDim } = sizes;
    const [k, v] = [new Float32Array(length * kvHeads * headDim), new Float32Array(length * kvHeads * headDim)];
    if (length === 0) return { k, v };
    const rows = length + this.#sinks;
    for (const view of this.#cache.views()) {
      const read = (tensor: GpuTensor) => readTensor(context, { ...tensor, length: rows * view.kvHeads * headDim });
      const parts = [await read(view.k), await read(view.v)];
      for (let token = 0; token < length; token++) {
        const from = (token + this.#sinks) * view.kvHeads * headDim;
        const to = (token * kvHeads + view.firstKvHead) * headDim;
        k.set(parts[0]!.subarray(from, from + view.kvHeads * headDim), to);
        v.set(parts[1]!.subarray(from, from + view.kvHeads * headDim), to);
      }
    }
    return { k, v };
  }

  [Symbol.dispose](): void {
    this.#session?.destroy();
    this.#session = undefined;
    release(this.#cache);
  }
}

/** A cache and its pool, which no other has. */
function release(cache: KvCache): void {
  const { pool } = cache;
  cache.dispose();
  pool[Symbol.dispose]();
}
