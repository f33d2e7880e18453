// A layer's keys and values side by side in memory that all layers of a model use one after another, where its pages may lie on the host: each page travels once for all the rows that see it.
import type { CacheView } from '../cache/view.ts';
import type { PageUpload } from '../cache/host-pages.ts';
import { seenFrom } from '../cache/sliding.ts';
import { bytesOf } from '../device/features.ts';
import type { GpuMask } from '../attention/mask.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import type { LayerAttention } from './layer-attention.ts';
import type { SharedScratch } from './shared-scratch.ts';
import type { StepTensors } from './tensors.ts';

/** Bytes of uploads that may wait in the queue. */
const MOST_WAITING = 256 * 2 ** 20;

/**
 * The next tokens of a layer for which the cache has room, any number of rows at a time.
 *
 * @example
 * ```ts
 * const room = new LayerRoom(attention, scratch, 4096);
 * await room.load();
 * for (let i = 0; i < 8; i++) room.encode(call, tensors, 512);
 * call.submit();
 * await room.close();
 * ```
 */
export class LayerRoom {
  /** By pool: token i is row i, counted from the first page that is here. */
  readonly views: readonly CacheView[];
  readonly #attention: LayerAttention;
  readonly #end: number;
  /** Place of the first page that is here: of a window's, those that the rows see. */
  readonly #first: number;
  /** Tokens that are there or whose passes are. */
  #keys: number;

  /** @param tokens that will be added */
  constructor(attention: LayerAttention, scratch: SharedScratch, tokens: number) {
    const { cache } = attention;
    const { pool } = cache;
    this.#attention = attention;
    this.#keys = cache.length;
    this.#end = cache.length + tokens;
    this.#first = cache.slides ? Math.floor(seenFrom(cache.sliding!, cache.length) / pool.pageTokens) : 0;
    this.views = roomViews(attention, scratch, Math.ceil(this.#end / pool.pageTokens) - this.#first);
    attention.beginRows();
  }

  /** Brings what the layer holds. @throws HipError `device-lost` */
  async load(): Promise<void> {
    const { cache } = this.#attention;
    const count = Math.ceil(cache.length / cache.pool.pageTokens) - this.#first;
    const places = Array.from({ length: count }, (_, i) => this.#first + i);
    await bringPages(this.#attention, places, this.views, true);
  }

  /** Adds the passes of the next rows. @returns see {@link ModelTurn.encode}. @throws HipError `invalid-shape` */
  encode(call: GpuCall, tensors: StepTensors, rows: number, keeps = false): GpuMask | undefined {
    const held = this.#keys - this.#first * this.#attention.cache.pool.pageTokens;
    const mask = this.#attention.encodeRows(call, tensors, { tokens: rows, held, views: this.views }, keeps);
    this.#keys += rows;
    return mask;
  }

  /**
   * Submits the copies of the new pages, to the host and to as many slots as there are: the memory serves the next layer at once.
   *
   * @returns when the host has them. @throws HipError `device-lost`
   */
  async close(): Promise<void> {
    const { cache } = this.#attention;
    const { pool } = cache;
    const { planner, pageTokens } = pool;
    const first = Math.floor(cache.length / pageTokens);
    const pages = cache.pages
      .slice(first, Math.ceil(this.#end / pageTokens))
      .map((page, i) => ({ page, place: first - this.#first + i }))
      .filter(({ page }) => page >= 0);
    const last = this.#end % pageTokens === 0 ? pages.length : pages.length - 1;
    const full = pool.offload ? pages.slice(0, last) : [];
    // The newest ones stay.
    for (const { page } of full.slice(-planner.slots)) if (!planner.tryPlace(page)) break;
    using call = new GpuCall(pool.context);
    for (const { page, place } of pages) {
      const slot = planner.slotOf(page);
      if (slot === undefined) continue;
      this.views.forEach(({ k, v }, i) => {
        const { pageBytes, ...own } = pool.pools[i]!;
        call.copy(k.buffer, place * pageBytes, own.k.buffer, slot * pageBytes, pageBytes);
        call.copy(v.buffer, place * pageBytes, own.v.buffer, slot * pageBytes, pageBytes);
      });
    }
    pool.context.watch(
      (error) => cache.fail(error),
      () => call.submit(),
    );
    cache.writeTable();
    await pool.host.copy(
      full,
      this.views.map(({ k, v }) => ({ k: k.buffer, v: v.buffer })),
    );
  }
}

/** Views of the memory that all layers use one after another, of so many pages. */
export function roomViews(
  { cache }: Pick<LayerAttention, 'cache'>,
  scratch: SharedScratch,
  pages: number,
): CacheView[] {
  const { pool } = cache;
  return cache.views().map(({ kvHeads, firstKvHead }, i) => {
    const bytes = pages * pool.pools[i]!.pageBytes;
    const tensor = (what: string): GpuTensor => ({
      buffer: scratch.renew(`a layer's ${what}/${i}`, bytes).buffer,
      type: pool.type,
      length: bytes / bytesOf(pool.type),
    });
    return { kvHeads, firstKvHead, keyRows: pages * pool.pageTokens, k: tensor('keys'), v: tensor('values') };
  });
}

/**
 * Copies the pages at some places of a sequence to `targets`, one behind another at their places or in the order given.
 *
 * @param packed the i-th goes to place i
 */
export async function bringPages(
  { cache }: Pick<LayerAttention, 'cache'>,
  places: readonly number[],
  targets: readonly Pick<CacheView, 'k' | 'v'>[],
  packed = false,
): Promise<void> {
  const { pool } = cache;
  const { context } = pool;
  const cold: PageUpload[] = [];
  using call = new GpuCall(context);
  places.forEach((at, i) => {
    const page = cache.pages[at]!;
    const place = packed ? i : at;
    const slot = pool.planner.slotOf(page);
    if (slot === undefined) {
      cold.push({ page, place });
      return;
    }
    targets.forEach(({ k, v }, index) => {
      const { pageBytes, ...own } = pool.pools[index]!;
      call.copy(own.k.buffer, slot * pageBytes, k.buffer, place * pageBytes, pageBytes);
      call.copy(own.v.buffer, slot * pageBytes, v.buffer, place * pageBytes, pageBytes);
    });
  });
  context.watch(
    (error) => cache.fail(error),
    () => call.submit(),
  );
  const pageBytes = 2 * pool.pools.reduce((total, part) => total + part.pageBytes, 0);
  const some = Math.max(1, Math.floor(MOST_WAITING / pageBytes));
  for (let start = 0; start < cold.length; start += some) {
    // What is uploaded waits in memory until the queue has come to it.
    if (start > 0) await context.orLost(context.device.queue.onSubmittedWorkDone());
    targets.forEach(({ k, v }, index) =>
      pool.host.upload(cold.slice(start, start + some), index, { k: k.buffer, v: v.buffer }),
    );
    context.device.queue.submit([]);
  }
}
