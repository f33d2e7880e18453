// Device memory of key-value pages that any number of sequences share, and the host copies of cold pages.
import { HipError } from '@hip/mask-search';
import { PAGE_TOKENS } from './page-tokens.ts';
import { bytesOf, type ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { HostPages, PageStaging } from './host-pages.ts';
import { PagePlanner, type Placement } from './page-planner.ts';
import { PageTables } from './page-tables.ts';
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
  /** Through which copies come to the host. @defaultValue the pool's own */
  readonly staging?: PageStaging | undefined;
  /** Lower limits than the device's. */
  readonly limits?: Pick<DeviceLimits, 'maxStorageBufferBindingSize' | 'maxBufferSize'> | undefined;
}

/** Keys and values of some kv heads: [slots·pageTokens, heads, d] each. */
export interface PoolBuffers extends PoolPlan {
  readonly k: GpuTensor;
  readonly v: GpuTensor;
}

const USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC

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
  /** Copies of cold pages. */
  readonly host: HostPages;
  /** Where the sequences' page tables lie. */
  readonly tables: PageTables;

  /** @throws HipError `invalid-config`, `unsupported` */
  constructor(
    context: GpuContext,
    {
      kvHeads,
      headDim,
      type = 'f16',
      pageTokens = PAGE_TOKENS,
      tokens,
      offload = false,
      staging = new PageStaging(),
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
    this.host = new HostPages(context, this.planner, this.pools, staging);
    this.tables = new PageTables(context);
  }

  /** Bytes of host copies. */
  get hostBytes(): number {
    return this.host.bytes;
  }

  /** A page is full: with `offload` it will get a host copy. */
  filled(page: number): void {
    if (this.offload) this.host.filled(page);
  }

  /** Copies full pages to the host, so that they may leave the device. Waits for the queue. @throws HipError `device-lost` */
  async settle(): Promise<void> {
    await this.host.settle();
  }

  /** Uploads host copies to the slots they were given. */
  load(placements: readonly Placement[]): void {
    this.host.load(placements);
  }

  /**
   * A page that its sequence may write: `page` itself where nobody else holds it, on the device and without a host copy; else a copy
   * of its own. Copied at once, before anything that is submitted later.
   *
   * @throws HipError `out-of-memory`; nothing has changed then
   */
  writable(page: number): number {
    const { planner, host } = this;
    if (!planner.isShared(page)) {
      if (planner.slotOf(page) === undefined) this.load(planner.require([page]));
      host.reopen(page);
      return page;
    }
    using call = new GpuCall(this.context);
    const { page: copy, slot } = planner.create();
    try {
      this.#copyPage(call, page, slot);
      call.submit();
    } catch (error) {
      this.release(copy);
      throw error;
    }
    this.release(page);
    return copy;
  }

  #copyPage(call: GpuCall, page: number, slot: number): void {
    const from = this.planner.slotOf(page);
    this.pools.forEach(({ k, v, pageBytes }, i) => {
      if (from === undefined) {
        this.host.write(page, i, k.buffer, v.buffer, slot * pageBytes);
        return;
      }
      // No buffer is copied within itself.
      const between = call.scratch(pageBytes, 'page copy');
      for (const { buffer } of [k, v]) {
        call.copy(buffer, from * pageBytes, between, 0, pageBytes);
        call.copy(between, 0, buffer, slot * pageBytes, pageBytes);
      }
    });
  }

  /** One sequence less holds the page. */
  release(page: number): void {
    if (this.planner.release(page)) this.host.forget(page);
  }

  destroy(): void {
    for (const { k, v } of this.pools) {
      k.buffer.destroy();
      v.buffer.destroy();
    }
    this.host.clear();
    this.tables[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}
