// Host copies of pages: which full pages have none yet, their read-back, and what is uploaded again.
import { HipError } from '@hip/mask-search';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { PagePlanner, Placement } from './page-planner.ts';
import type { PoolBuffers } from './kv-pool.ts';

/** Bytes read back at a time. */
const STAGING = 64 * 2 ** 20;

/** A page to be uploaded, and the page's place in the target. */
export interface PageUpload {
  readonly page: number;
  readonly place: number;
}

/** Keys and values of a pool: pages one behind another. */
export interface PageBuffers {
  readonly k: GPUBuffer;
  readonly v: GPUBuffer;
}

/** Buffers through which copies come back, which all layers of a model use: memory that the host can read is slow to allocate. */
export class PageStaging implements Disposable {
  readonly #free: GPUBuffer[] = [];

  /** @throws HipError `unsupported`; what the GPU refuses, by `context.settled()` */
  take(context: GpuContext, bytes: number): GPUBuffer {
    const at = this.#free.findIndex(({ size }) => size >= bytes);
    if (at >= 0) return this.#free.splice(at, 1)[0]!;
    return createBuffer(context, bytes, 0x01 | 0x08, 'page copies'); // MAP_READ | COPY_DST
  }

  give(buffer: GPUBuffer): void {
    this.#free.push(buffer);
  }

  /** Keeps so many. */
  trim(count: number): void {
    for (const buffer of this.#free.splice(count)) buffer.destroy();
  }

  [Symbol.dispose](): void {
    this.trim(0);
  }
}

/** A page whose content lies at `place` of some buffers. */
type PageCopy = PageUpload;

export class HostPages {
  readonly #context: GpuContext;
  readonly #planner: PagePlanner;
  readonly #pools: readonly PoolBuffers[];
  /** [pool][k, v]; pages that were copied together lie behind one another, keys of a pool and then its values. */
  readonly #copies = new Map<number, Uint8Array[]>();
  /** Full pages without a copy, and when each of them became full: a page that is filled again meanwhile needs another copy. */
  readonly #unsaved = new Map<number, object>();
  readonly #staging: PageStaging;

  constructor(context: GpuContext, planner: PagePlanner, pools: readonly PoolBuffers[], staging: PageStaging) {
    this.#staging = staging;
    this.#context = context;
    this.#planner = planner;
    this.#pools = pools;
  }

  /** Bytes of all copies. */
  get bytes(): number {
    let total = 0;
    for (const parts of this.#copies.values()) for (const { byteLength } of parts) total += byteLength;
    return total;
  }

  /** Keys of each pool, each followed by its values, of a page that has a copy. */
  read(page: number): readonly Uint8Array[] | undefined {
    return this.#copies.get(page);
  }

  /** Copies of pages that come from elsewhere. @param parts of each page, as {@link read} gives them */
  put(pages: readonly { readonly page: number; readonly parts: readonly Uint8Array[] }[]): void {
    const [first] = pages;
    if (!first) return;
    // Behind one another by part, as they are uploaded.
    const copies = first.parts.map((part, i) => {
      const all = new Uint8Array(pages.length * part.byteLength);
      pages.forEach(({ parts }, at) => all.set(parts[i]!, at * part.byteLength));
      return all;
    });
    pages.forEach(({ page, parts }, at) => {
      const own = parts.map(({ byteLength }, i) => copies[i]!.subarray(at * byteLength, (at + 1) * byteLength));
      this.#unsaved.delete(page);
      this.#copies.set(page, own);
      this.#planner.saved(page);
    });
  }

  /** A page is full: {@link settle} will copy it, unless that was done. */
  filled(page: number): void {
    if (!this.#planner.isSaved(page)) this.#unsaved.set(page, {});
  }

  /** A page will be written again: its copy is out of date. */
  reopen(page: number): void {
    this.#unsaved.delete(page);
    if (this.#copies.delete(page)) this.#planner.changed(page);
  }

  forget(page: number): void {
    this.#copies.delete(page);
    this.#unsaved.delete(page);
  }

  clear(): void {
    this.#copies.clear();
    this.#unsaved.clear();
    this.#staging.trim(0);
  }

  /** Copies full pages to the host. Waits for the queue. @throws HipError `device-lost` */
  async settle(): Promise<void> {
    const pages = [...this.#unsaved.keys()];
    const batch = this.#batch;
    for (let start = 0; start < pages.length; start += batch) {
      // Between two batches a page may have been released.
      const some = pages.slice(start, start + batch).filter((page) => this.#unsaved.has(page));
      const copies = some.map((page) => ({ page, place: this.#planner.slotOf(page)! }));
      await this.#read(
        copies,
        this.#pools.map(({ k, v }) => ({ k: k.buffer, v: v.buffer })),
      );
    }
    this.#staging.trim(2);
  }

  /**
   * Copies full pages that lie in other buffers than the pool's. The queue is told at once: the buffers may be written again.
   *
   * @param buffers by pool
   * @returns when the host has them. @throws HipError `device-lost`
   */
  async copy(pages: readonly PageCopy[], buffers: readonly PageBuffers[]): Promise<void> {
    for (const { page } of pages) this.#unsaved.set(page, {});
    const reads: Promise<void>[] = [];
    for (let start = 0; start < pages.length; start += this.#batch)
      reads.push(this.#read(pages.slice(start, start + this.#batch), buffers));
    await Promise.all(reads);
  }

  /** Pages that are read back at a time. */
  get #batch(): number {
    return Math.max(1, Math.floor(STAGING / this.#bytesOf(1)));
  }

  #bytesOf(pages: number): number {
    return 2 * pages * this.#pools.reduce((total, pool) => total + pool.pageBytes, 0);
  }

  async #read(pages: readonly PageCopy[], buffers: readonly PageBuffers[]): Promise<void> {
    const context = this.#context;
    if (pages.length === 0) return;
    const since = pages.map(({ page }) => this.#unsaved.get(page));
    const bytes = this.#bytesOf(pages.length);
    const staging = this.#staging.take(context, bytes);
    try {
      const encoder = context.device.createCommandEncoder();
      let at = 0;
      for (const [i, { pageBytes }] of this.#pools.entries()) {
        const { k, v } = buffers[i]!;
        for (const buffer of [k, v]) {
          for (const { first, count } of runs(pages)) {
            encoder.copyBufferToBuffer(buffer, first * pageBytes, staging, at, count * pageBytes);
            at += count * pageBytes;
          }
        }
      }
      context.device.queue.submit([encoder.finish()]);
      await context.settled();
      await context.orLost(staging.mapAsync(1, 0, bytes));
      const copied = new Uint8Array(staging.getMappedRange(0, bytes)).slice();
      staging.unmap();
      this.#staging.give(staging);
      this.#keep(pages, since, copied);
    } catch (error) {
      staging.destroy();
      throw error;
    }
  }

  /** Notes copies of pages, but not of those that were released, or filled again, meanwhile. */
  #keep(pages: readonly PageCopy[], since: readonly (object | undefined)[], copied: Uint8Array): void {
    const starts: number[] = [];
    let at = 0;
    for (const { pageBytes } of this.#pools) {
      starts.push(at, at + pages.length * pageBytes);
      at += 2 * pages.length * pageBytes;
    }
    for (const [i, { page }] of pages.entries()) {
      if (this.#unsaved.get(page) !== since[i] || !since[i]) continue;
      const parts = starts.map((start, part) => {
        const { pageBytes } = this.#pools[part >> 1]!;
        return copied.subarray(start + i * pageBytes, start + (i + 1) * pageBytes);
      });
      this.#unsaved.delete(page);
      this.#copies.set(page, parts);
      this.#planner.saved(page);
    }
  }

  /** Uploads copies to the slots they were given. */
  load(placements: readonly Placement[]): void {
    const uploads = placements.map(({ page, slot }) => ({ page, place: slot }));
    this.#pools.forEach(({ k, v }, i) => this.upload(uploads, i, { k: k.buffer, v: v.buffer }));
  }

  /** Uploads one pool's part of copies to their places; what lies together here and there goes together. @throws HipError `internal` where there is no copy */
  upload(uploads: readonly PageUpload[], pool: number, buffers: PageBuffers): void {
    const { pageBytes } = this.#pools[pool]!;
    for (const [part, target] of [
      [2 * pool, buffers.k],
      [2 * pool + 1, buffers.v],
    ] as const) {
      let run: { readonly offset: number; bytes: Uint8Array } | undefined;
      const flush = (): void => {
        if (run) this.#context.device.queue.writeBuffer(target, run.offset, run.bytes as Uint8Array<ArrayBuffer>);
        run = undefined;
      };
      for (const { page, place } of uploads) {
        const parts = this.#copies.get(page);
        if (!parts) throw new HipError('internal', `page ${page} has no host copy`, { page });
        const bytes = parts[part]!;
        const offset = place * pageBytes;
        const joins =
          run !== undefined &&
          run.bytes.buffer === bytes.buffer &&
          run.bytes.byteOffset + run.bytes.length === bytes.byteOffset &&
          run.offset + run.bytes.length === offset;
        if (joins && run) {
          run.bytes = new Uint8Array(bytes.buffer, run.bytes.byteOffset, run.bytes.length + bytes.length);
          continue;
        }
        flush();
        run = { offset, bytes };
      }
      flush();
    }
  }

  /** Uploads one pool's part of a copy to `offset` of two buffers. @throws HipError `internal` where there is no copy */
  write(page: number, pool: number, k: GPUBuffer, v: GPUBuffer, offset: number): void {
    this.upload([{ page, place: offset / this.#pools[pool]!.pageBytes }], pool, { k, v });
  }
}

/** Pages whose places follow one another. */
function runs(pages: readonly PageCopy[]): { first: number; count: number }[] {
  const found: { first: number; count: number }[] = [];
  for (const { place } of pages) {
    const last = found.at(-1);
    if (last && last.first + last.count === place) last.count++;
    else found.push({ first: place, count: 1 });
  }
  return found;
}
