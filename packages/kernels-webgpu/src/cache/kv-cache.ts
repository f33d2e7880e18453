// The keys and values of one sequence in the pages of a pool: append, page table, views for kernels.
import { HipError } from '@hip/mask-search';
import { bytesOf } from '../device/features.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { APPEND, APPEND_LANES, appendCode } from './append-code.ts';
import type { KvPool, PoolBuffers } from './kv-pool.ts';

/** Keys and values of some kv heads as kernels bind them. */
export interface CacheView {
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  /** kv heads of this view. */
  readonly kvHeads: number;
  readonly firstKvHead: number;
  /** Rows of k and v. */
  readonly keyRows: number;
  /** Absent where token i is row i. */
  readonly pages?: { readonly table: BufferRange; readonly shift: number } | undefined;
}

/**
 * One sequence. While it has its pool to itself its pages follow one another, and kernels read it as plain [T, Hkv, d] arrays;
 * otherwise they read through the page table.
 *
 * @example
 * ```ts
 * const pool = new KvPool(contextOf(device), { kvHeads: 8, headDim: 128, tokens: 131072 });
 * const cache = new KvCache(pool);
 * const call = new GpuCall(pool.context);
 * cache.append(call, k, v, 1024); // k, v: [1024, 8, 128]
 * call.submit();
 * ```
 */
export class KvCache {
  readonly pool: KvPool;
  readonly #pages: number[] = [];
  readonly #table: GPUBuffer;
  readonly #maxPages: number;
  #length = 0;
  #contiguous = true;
  #disposed = false;

  /**
   * @param maxTokens longest sequence. @defaultValue what the pool holds, 16 times that with offload
   * @throws HipError `invalid-config`
   */
  constructor(
    pool: KvPool,
    { maxTokens = pool.plan.slots * pool.pageTokens * (pool.offload ? 16 : 1) }: { readonly maxTokens?: number } = {},
  ) {
    if (!Number.isSafeInteger(maxTokens) || maxTokens < 1)
      throw new HipError('invalid-config', `maxTokens is ${maxTokens}: give an integer >= 1`, {
        name: 'maxTokens',
        value: maxTokens,
      });
    this.pool = pool;
    this.#maxPages = Math.ceil(maxTokens / pool.pageTokens);
    this.#table = createBuffer(pool.context, 4 * this.#maxPages, 0x80 | 0x08 | 0x04, 'page table'); // STORAGE | COPY_DST | COPY_SRC
    // A pool that moves pages, or that others use, cannot promise rows in order.
    this.#contiguous = !pool.offload;
  }

  /** Tokens so far. */
  get length(): number {
    return this.#length;
  }

  get maxTokens(): number {
    return this.#maxPages * this.pool.pageTokens;
  }

  /** Token i is row i of the views. */
  get contiguous(): boolean {
    return this.#contiguous;
  }

  /** Pages in order of tokens. */
  get pages(): readonly number[] {
    return this.#pages;
  }

  get table(): BufferRange {
    return { buffer: this.#table };
  }

  /** Makes room for `tokens` more: pages, slots, the table. @throws HipError `out-of-memory` */
  reserve(tokens: number): void {
    const { pool } = this;
    if (this.#disposed) throw new HipError('internal', 'this cache is disposed: make another over the pool');
    const end = this.#length + tokens;
    if (end > this.maxTokens)
      throw new HipError(
        'out-of-memory',
        `the sequence would hold ${end} tokens, its page table ${this.maxTokens}: give a larger maxTokens`,
        { tokens: end, maxTokens: this.maxTokens },
      );
    let moved = false;
    while (this.#pages.length * pool.pageTokens < end) {
      const { page, slot, evicted } = pool.planner.create();
      // The page that is being filled has no host copy yet, so it cannot be evicted.
      this.#contiguous &&= slot === this.#pages.length;
      moved ||= evicted !== undefined;
      this.#pages.push(page);
      this.pool.context.device.queue.writeBuffer(this.#table, 4 * (this.#pages.length - 1), new Uint32Array([slot]));
    }
    if (moved) this.writeTable();
  }

  /** Writes all slots; pages that only the host has keep a stale one, which no kernel may read. */
  writeTable(): void {
    const slots = Uint32Array.from(this.#pages, (page) => this.pool.planner.slotOf(page) ?? 0);
    this.pool.context.device.queue.writeBuffer(this.#table, 0, slots);
  }

  /** Counts tokens that an append pass has written or will write. */
  advance(tokens: number): void {
    const { pool } = this;
    const before = Math.floor(this.#length / pool.pageTokens);
    this.#length += tokens;
    for (let i = before; i < Math.floor(this.#length / pool.pageTokens); i++) pool.filled(this.#pages[i]!);
  }

  /**
   * Adds passes that write `tokens` new tokens.
   *
   * @param k [tokens, Hkv, d] @param v [tokens, Hkv, d]
   * @throws HipError `invalid-shape`, `out-of-memory`
   */
  append(call: GpuCall, k: GpuTensor, v: GpuTensor, tokens: number): void {
    this.reserve(tokens);
    this.encodeAppend(call, k, v, tokens);
    this.advance(tokens);
  }

  /** The append passes alone. @param uniform per pool, for prepared calls */
  encodeAppend(
    call: GpuCall,
    k: GpuTensor,
    v: GpuTensor,
    tokens: number,
    uniform?: (pool: number) => BufferRange,
  ): void {
    const { pool } = this;
    const needed = tokens * pool.kvHeads * pool.headDim;
    for (const [name, { length, type }] of [
      ['k', k],
      ['v', v],
    ] as const) {
      if (length < needed || type !== pool.type)
        throw new HipError(
          'invalid-shape',
          `${name} holds ${length} numbers in ${type}: ${tokens} tokens need ${needed} in ${pool.type}`,
          { name, length, type, needed },
        );
    }
    const most = call.context.limits.maxComputeWorkgroupsPerDimension;
    pool.pools.forEach((part, i) => {
      const groups = Math.ceil((tokens * this.#words(part)) / APPEND_LANES);
      const x = Math.min(groups, most);
      const range = ({ buffer, offset = 0 }: GpuTensor): BufferRange => ({
        buffer,
        offset,
        size: needed * bytesOf(pool.type),
      });
      call.pass({
        label: 'cache/append',
        pipeline: { label: 'cache append', code: appendCode(this.#contiguous ? undefined : pool.plan.pageShift) },
        bindings: [
          uniform?.(i) ?? { uniform: this.appendUniform(i, tokens) },
          range(k),
          range(v),
          { buffer: part.k.buffer },
          { buffer: part.v.buffer },
          ...(this.#contiguous ? [] : [this.table]),
        ],
        workgroups: [x, Math.ceil(groups / x)],
      });
    });
  }

  /** The uniform of an append of `tokens` at the end. */
  appendUniform(pool: number, tokens: number): ArrayBuffer {
    const part = this.pool.pools[pool]!;
    const headWords = (this.pool.headDim * bytesOf(this.pool.type)) / 16;
    return APPEND.pack({
      first: this.#length,
      tokens,
      words: this.#words(part),
      sourceWords: this.pool.kvHeads * headWords,
      sourceFirst: part.firstHead * headWords,
    });
  }

  #words({ heads }: PoolBuffers): number {
    return (heads * this.pool.headDim * bytesOf(this.pool.type)) / 16;
  }

  /** What kernels bind, one view per pool. */
  views(): CacheView[] {
    const { pool } = this;
    return pool.pools.map(({ k, v, heads, firstHead }) => ({
      k,
      v,
      kvHeads: heads,
      firstKvHead: firstHead,
      keyRows: pool.plan.slots * pool.pageTokens,
      ...(!this.#contiguous && { pages: { table: this.table, shift: pool.plan.pageShift } }),
    }));
  }

  /** Frees the sequence's pages. */
  dispose(): void {
    this.#disposed = true;
    for (const page of this.#pages) this.pool.release(page);
    this.#pages.length = 0;
    this.#length = 0;
    this.#table.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
