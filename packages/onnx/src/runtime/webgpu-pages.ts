// Pools of pages of one layer: each text that begins by itself takes one, where its tokens lie in order; its forks share it.
import {
  KvPool,
  OFFLOADED_PAGE_TOKENS,
  PAGE_TOKENS,
  type ElementType,
  type GpuContext,
  type KvCache,
} from '@hip/kernels-webgpu';
import type { HeadSizes } from './backend.ts';

const USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC

/** What a layer's pools are made by. */
export interface PagePoolOptions {
  readonly context: GpuContext;
  readonly sizes: HeadSizes;
  readonly type: ElementType;
  /** Tokens of a text, sinks counted, for which room is made at once. Undefined: pools are as large as they need to be, and go with their text. */
  readonly maxTokens: number | undefined;
  /** Tokens on the GPU at once, others are on the host. Undefined: all. */
  readonly offload: number | undefined;
}

/** A pool and those who hold caches in it. */
export interface PagePool {
  readonly pool: KvPool;
  holders: number;
}

/** The pools of one layer. */
export class LayerPages implements Disposable {
  readonly options: PagePoolOptions;
  readonly #pools = new Set<PagePool>();

  constructor(options: PagePoolOptions) {
    this.options = options;
  }

  /** A pool that nobody else holds, with room for so many tokens. @throws HipError `out-of-memory`, `invalid-config`, `unsupported` */
  take(tokens: number): PagePool {
    const { context, sizes, type, maxTokens, offload } = this.options;
    const room = offload ?? maxTokens ?? tokens;
    for (const known of this.#pools) {
      if (known.holders > 0 || known.pool.plan.slots * known.pool.pageTokens < room) continue;
      known.holders++;
      return known;
    }
    const { kvHeads, headDim } = sizes;
    const isOffloaded = offload !== undefined;
    const pageTokens = isOffloaded ? OFFLOADED_PAGE_TOKENS : PAGE_TOKENS;
    const pool = new KvPool(context, { kvHeads, headDim, type, pageTokens, tokens: room, offload: isOffloaded });
    const made: PagePool = { pool, holders: 1 };
    this.#pools.add(made);
    return made;
  }

  /** One holder more: a fork. */
  share(shared: PagePool): PagePool {
    shared.holders++;
    return shared;
  }

  /** One holder less. Memory that was made at once waits for the next text, one of each layer. */
  give(given: PagePool): void {
    if (--given.holders > 0) return;
    const { maxTokens, offload } = this.options;
    const isKept = maxTokens !== undefined || offload !== undefined;
    const waits = [...this.#pools].some((other) => other !== given && other.holders === 0);
    if (isKept && !waits && this.#pools.has(given)) {
      inOrder(given.pool);
      return;
    }
    this.#pools.delete(given);
    given.pool[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const { pool } of this.#pools) pool[Symbol.dispose]();
    this.#pools.clear();
  }
}

/** Slots of an empty pool are given in order again, whatever order its texts gave them back in. */
function inOrder({ planner }: KvPool): void {
  const all = Array.from({ length: planner.slots }, () => planner.create());
  for (const { page } of all.toSorted((a, b) => b.slot - a.slot)) planner.release(page);
}

/** Pages that the device could give at once: of a pool whose pages stay on the device. */
export function freePages({ planner }: KvPool): number {
  return planner.slots - planner.resident;
}

/** Keys and values of one pool of heads, [tokens, heads, channels] at the head of a buffer each. */
export interface Rows {
  readonly k: GPUBuffer;
  readonly v: GPUBuffer;
}

/** Copies the first tokens of a cache, whose pages may lie anywhere, into rows one behind another, by pool of heads. */
export function copyRows({ pool, pages }: KvCache, tokens: number, into: readonly Rows[]): void {
  const { device } = pool.context;
  const { pageTokens, planner } = pool;
  const count = Math.ceil(tokens / pageTokens);
  const encoder = device.createCommandEncoder();
  for (const [i, { k, v, pageBytes }] of pool.pools.entries()) {
    const tokenBytes = pageBytes / pageTokens;
    const { k: keys, v: values } = into[i]!;
    for (let place = 0; place < count;) {
      const slot = planner.slotOf(pages[place]!);
      if (slot === undefined) {
        // Uploads are ordered with what is submitted: this part's copies do not touch the page.
        pool.host.write(pages[place]!, i, keys, values, place * pageBytes);
        place++;
        continue;
      }
      let end = place + 1;
      while (end < count && planner.slotOf(pages[end]!) === slot + end - place) end++;
      const bytes = (Math.min(tokens, end * pageTokens) - place * pageTokens) * tokenBytes;
      encoder.copyBufferToBuffer(k.buffer, slot * pageBytes, keys, place * pageBytes, bytes);
      encoder.copyBufferToBuffer(v.buffer, slot * pageBytes, values, place * pageBytes, bytes);
      place = end;
    }
  }
  device.queue.submit([encoder.finish()]);
}

/** Rows of their own for the first tokens of a cache. */
export function rowsOf(cache: KvCache, tokens: number): (Rows & { readonly length: number; destroy(): void })[] {
  const { pool } = cache;
  const pages = Math.ceil(tokens / pool.pageTokens);
  const rows = pool.pools.map(({ pageBytes, heads }) => {
    const make = (): GPUBuffer =>
      pool.context.device.createBuffer({ size: pages * pageBytes, usage: USAGE, label: 'rows of a cache' });
    const [k, v] = [make(), make()];
    const destroy = (): void => {
      k.destroy();
      v.destroy();
    };
    return { k, v, length: tokens * heads * pool.headDim, destroy };
  });
  copyRows(cache, tokens, rows);
  return rows;
}
