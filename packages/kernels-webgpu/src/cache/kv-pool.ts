// Device memory of key-value pages that any number of sequences share, and the host copies of cold pages.
import { HipError } from '@hip/mask-search';
import { bytesOf, type ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { PagePlanner, type Placement } from './page-planner.ts';
import { planPools, type CachePlan, type PoolPlan } from './pools.ts';

export interface KvPoolOptions {
  readonly kvHeads: number;
  readonly headDim: number;
  /** @defaultValue 'f16' */
  readonly type?: ElementType | undefined;
  /** Tokens of a page; a power of two. Fewer waste less at a sequence's end, more make fewer copies. @defaultValue 256 */
  readonly pageTokens?: number | undefined;
  /** Tokens on the device at once, of all sequences. */
  readonly tokens: number;
  /** Full pages get a host copy (in `settle()`) and leave the device when room is needed. @defaultValue false */
  readonly offload?: boolean | undefined;
  /** Lower limits than the device's. */
  readonly limits?: Pick<DeviceLimits, 'maxStorageBufferBindingSize' | 'maxBufferSize'> | undefined;
}

/** Keys and values of some kv heads: [slots·pageTokens, heads, d] each. */
export interface PoolBuffers extends PoolPlan {
  readonly k: GpuTensor;
  readonly v: GpuTensor;
}

const USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
/** Bytes read back at a time. */
const STAGING = 64 * 2 ** 20;

/** @example see {@link KvCache} */
export class KvPool {
  readonly context: GpuContext;
  readonly type: ElementType;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly pageTokens: number;
  readonly offload: boolean;
  readonly plan: CachePlan;
  readonly planner: PagePlanner;
  readonly pools: readonly PoolBuffers[];
  /** Host copies, [pool][k, v]. */
  readonly #host = new Map<number, Uint8Array[]>();
  /** Full pages without a host copy. */
  readonly #unsaved = new Set<number>();

  /** @throws HipError `invalid-config`, `unsupported` */
  constructor(
    context: GpuContext,
    {
      kvHeads,
      headDim,
      type = 'f16',
      pageTokens = 256,
      tokens,
      offload = false,
      limits = context.limits,
    }: KvPoolOptions,
  ) {
    if (headDim % 8 !== 0)
      throw new HipError('invalid-shape', `headDim is ${headDim}: GPU kernels need a multiple of 8`, { headDim });
    this.context = context;
    this.type = type;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    this.pageTokens = pageTokens;
    this.offload = offload;
    this.plan = planPools({ kvHeads, headDim, type, pageTokens, tokens, limits });
    this.planner = new PagePlanner(this.plan.slots);
    this.pools = this.plan.pools.map((pool) => {
      const length = (this.plan.slots * pool.pageBytes) / bytesOf(type);
      const tensor = (label: string): GpuTensor => ({
        buffer: createBuffer(context, this.plan.slots * pool.pageBytes, USAGE, label),
        type,
        length,
      });
      return { ...pool, k: tensor('cached keys'), v: tensor('cached values') };
    });
  }

  /** Bytes of host copies. */
  get hostBytes(): number {
    let total = 0;
    for (const parts of this.#host.values()) for (const { byteLength } of parts) total += byteLength;
    return total;
  }

  /** A page is full: with `offload` it will get a host copy. */
  filled(page: number): void {
    if (this.offload) this.#unsaved.add(page);
  }

  /** A page that was full is being filled again: its host copy is out of date. One that has left the device stays as it is. */
  reopen(page: number): void {
    if (this.planner.slotOf(page) === undefined) return;
    this.#unsaved.delete(page);
    if (this.#host.delete(page)) this.planner.changed(page);
  }

  /** Copies full pages to the host, so that they may leave the device. Waits for the queue. @throws HipError `device-lost` */
  async settle(): Promise<void> {
    const pages = [...this.#unsaved];
    const pageBytes = 2 * this.pools.reduce((total, pool) => total + pool.pageBytes, 0);
    const batch = Math.max(1, Math.floor(STAGING / pageBytes));
    for (let start = 0; start < pages.length; start += batch)
      await this.#save(pages.slice(start, start + batch), pageBytes);
  }

  async #save(pages: readonly number[], pageBytes: number): Promise<void> {
    const { context } = this;
    const staging = createBuffer(context, pages.length * pageBytes, 0x01 | 0x08, 'page copies'); // MAP_READ | COPY_DST
    try {
      const encoder = context.device.createCommandEncoder();
      let at = 0;
      for (const page of pages) {
        const slot = this.planner.slotOf(page)!;
        for (const { k, v, pageBytes: bytes } of this.pools) {
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
      for (const page of pages) {
        const parts = this.pools
          .flatMap(({ pageBytes: bytes }) => [bytes, bytes])
          .map((bytes) => mapped.slice(from, (from += bytes)));
        // A page released meanwhile needs no copy.
        if (!this.#unsaved.delete(page)) continue;
        this.#host.set(page, parts);
        this.planner.saved(page);
      }
    } finally {
      staging.destroy();
    }
  }

  /** Uploads host copies to the slots they were given. */
  load(placements: readonly Placement[]): void {
    const { queue } = this.context.device;
    for (const { page, slot } of placements) {
      const parts = this.#host.get(page);
      if (!parts) throw new HipError('internal', `page ${page} has no host copy`, { page });
      this.pools.forEach(({ k, v, pageBytes }, i) => {
        queue.writeBuffer(k.buffer, slot * pageBytes, parts[2 * i]! as Uint8Array<ArrayBuffer>);
        queue.writeBuffer(v.buffer, slot * pageBytes, parts[2 * i + 1]! as Uint8Array<ArrayBuffer>);
      });
    }
  }

  release(page: number): void {
    this.planner.release(page);
    this.#host.delete(page);
    this.#unsaved.delete(page);
  }

  destroy(): void {
    for (const { k, v } of this.pools) {
      k.buffer.destroy();
      v.buffer.destroy();
    }
    this.#host.clear();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}
