// Host copies of pages: which full pages have none yet, their read-back, and what is uploaded again.
import { HipError } from '@hip/mask-search';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { PagePlanner, Placement } from './page-planner.ts';
import type { PoolBuffers } from './kv-pool.ts';

/** Bytes read back at a time. */
const STAGING = 64 * 2 ** 20;

export class HostPages {
  readonly #context: GpuContext;
  readonly #planner: PagePlanner;
  readonly #pools: readonly PoolBuffers[];
  /** [pool][k, v] */
  readonly #copies = new Map<number, Uint8Array[]>();
  /** Full pages without a copy, and when each of them became full: a page that is filled again meanwhile needs another copy. */
  readonly #unsaved = new Map<number, object>();

  constructor(context: GpuContext, planner: PagePlanner, pools: readonly PoolBuffers[]) {
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

  /** A page is full: {@link settle} will copy it. */
  filled(page: number): void {
    this.#unsaved.set(page, {});
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
  }

  /** Copies full pages to the host. Waits for the queue. @throws HipError `device-lost` */
  async settle(): Promise<void> {
    const pages = [...this.#unsaved.keys()];
    const pageBytes = 2 * this.#pools.reduce((total, pool) => total + pool.pageBytes, 0);
    const batch = Math.max(1, Math.floor(STAGING / pageBytes));
    for (let start = 0; start < pages.length; start += batch)
      await this.#save(pages.slice(start, start + batch), pageBytes);
  }

  async #save(candidates: readonly number[], pageBytes: number): Promise<void> {
    const context = this.#context;
    // Between two batches a page may have been released.
    const pages = candidates.filter((page) => this.#unsaved.has(page));
    if (pages.length === 0) return;
    const since = pages.map((page) => this.#unsaved.get(page));
    const staging = createBuffer(context, pages.length * pageBytes, 0x01 | 0x08, 'page copies'); // MAP_READ | COPY_DST
    try {
      const encoder = context.device.createCommandEncoder();
      let at = 0;
      for (const page of pages) {
        const slot = this.#planner.slotOf(page)!;
        for (const { k, v, pageBytes: bytes } of this.#pools) {
          for (const { buffer } of [k, v]) {
            encoder.copyBufferToBuffer(buffer, slot * bytes, staging, at, bytes);
            at += bytes;
          }
        }
      }
      context.device.queue.submit([encoder.finish()]);
      await context.settled();
      await context.orLost(staging.mapAsync(1));
      const mapped = new Uint8Array(staging.getMappedRange());
      let from = 0;
      for (const [i, page] of pages.entries()) {
        const parts = this.#pools
          .flatMap(({ pageBytes: bytes }) => [bytes, bytes])
          .map((bytes) => mapped.slice(from, (from += bytes)));
        // A page released, or filled again, meanwhile: this copy is not of it.
        if (this.#unsaved.get(page) !== since[i] || !since[i]) continue;
        this.#unsaved.delete(page);
        this.#copies.set(page, parts);
        this.#planner.saved(page);
      }
    } finally {
      staging.destroy();
    }
  }

  /** Uploads copies to the slots they were given. */
  load(placements: readonly Placement[]): void {
    for (const { page, slot } of placements) {
      this.#pools.forEach(({ k, v, pageBytes }, i) => {
        this.write(page, i, k.buffer, v.buffer, slot * pageBytes);
      });
    }
  }

  /** Uploads one pool's part of a copy to `offset` of two buffers. @throws HipError `internal` where there is no copy */
  write(page: number, pool: number, k: GPUBuffer, v: GPUBuffer, offset: number): void {
    const parts = this.#copies.get(page);
    if (!parts) throw new HipError('internal', `page ${page} has no host copy`, { page });
    const { queue } = this.#context.device;
    queue.writeBuffer(k, offset, parts[2 * pool]! as Uint8Array<ArrayBuffer>);
    queue.writeBuffer(v, offset, parts[2 * pool + 1]! as Uint8Array<ArrayBuffer>);
  }
}
