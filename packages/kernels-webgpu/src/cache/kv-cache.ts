// The keys and values of one sequence in the pages of a pool: append, page table, views for kernels.
import { HipError } from '@hip/mask-search';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { appendUniform, encodeAppend, type AppendTarget } from './append.ts';
import type { KvPool } from './kv-pool.ts';

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
 * otherwise they read through the page table. Forks share pages: who writes into a page that others hold gets a copy of it first.
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
  /** In order of tokens. */
  #pages: number[] = [];
  readonly #table: GPUBuffer;
  readonly #maxPages: number;
  #length = 0;
  #contiguous = true;
  #disposed = false;
  /** What the GPU said when it refused an append or a step. */
  #failure: HipError | undefined;
  /** Holds appends that are counted but not submitted. */
  #pending: GpuCall | undefined;

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

  /**
   * Makes room for `tokens` more: pages, slots, the table. Without room nothing has changed.
   *
   * @throws HipError `out-of-memory`; after the GPU has refused a step, that error's code
   */
  reserve(tokens: number): void {
    this.#check(tokens);
    this.#checkIdle();
    this.#reserve(tokens);
  }

  #checkIdle(): void {
    this.#checkAlive();
    if (this.#pending)
      throw new HipError(
        'internal',
        'tokens of this cache wait in a call that was not submitted: submit it, or dispose it to take them back',
      );
  }

  #check(tokens: number): void {
    this.#checkAlive();
    if (!Number.isSafeInteger(tokens) || tokens < 1)
      throw new HipError('invalid-shape', `tokens is ${tokens}: give an integer >= 1`, { tokens });
  }

  #checkAlive(): void {
    if (this.#disposed) throw new HipError('internal', 'this cache is disposed: make another over the pool');
    if (this.#failure)
      throw new HipError(
        this.#failure.code,
        `the GPU refused a step of this sequence, so what its cache holds is not certain: dispose it and begin again from the prompt (${this.#failure.message})`,
        { length: this.#length },
        { cause: this.#failure },
      );
  }

  /** The GPU refused what was submitted for this sequence: it goes no further. */
  fail(error: HipError): void {
    this.#failure ??= error;
  }

  /** What takes the cache back to now: length, pages, order. For steps that end before they were submitted. */
  checkpoint(): () => void {
    const { pool } = this;
    const [length, pages, contiguous, pending] = [this.#length, this.#pages.length, this.#contiguous, this.#pending];
    return () => {
      if (this.#disposed) return;
      // The last page may be a copy of its own by now: it holds the same tokens.
      for (const page of this.#pages.splice(pages).toReversed()) pool.release(page);
      this.#length = length;
      this.#contiguous = contiguous && this.#inOrder();
      this.#pending = pending;
    };
  }

  /** Whether page i lies in slot i. */
  #inOrder(): boolean {
    return this.#pages.every((page, i) => this.pool.planner.slotOf(page) === i);
  }

  #reserve(tokens: number): void {
    const undo = this.checkpoint();
    try {
      this.#addPages(tokens);
    } catch (error) {
      undo();
      throw error;
    }
  }

  #addPages(tokens: number): void {
    const { pool } = this;
    const end = this.#length + tokens;
    if (end > this.maxTokens)
      throw new HipError(
        'out-of-memory',
        `the sequence would hold ${end} tokens, its page table ${this.maxTokens}: give a larger maxTokens`,
        { tokens: end, maxTokens: this.maxTokens },
      );
    let moved = this.#openLast();
    while (this.#pages.length * pool.pageTokens < end) {
      const { page, slot, evicted } = pool.planner.create();
      // The page that is being filled has no host copy, so it cannot be evicted.
      this.#contiguous &&= slot === this.#pages.length;
      moved ||= evicted !== undefined;
      this.#pages.push(page);
      pool.context.device.queue.writeBuffer(this.#table, 4 * (this.#pages.length - 1), new Uint32Array([slot]));
    }
    if (moved) this.writeTable();
  }

  /** Makes the page that is partly filled this cache's own, and brings it to the device. @returns whether slots have changed */
  #openLast(): boolean {
    const { pool } = this;
    const last = Math.floor(this.#length / pool.pageTokens);
    const page = this.#pages[last];
    if (page === undefined || this.#length % pool.pageTokens === 0) return false;
    const before = pool.planner.slotOf(page);
    const own = pool.writable(page);
    this.#pages[last] = own;
    const slot = pool.planner.slotOf(own);
    this.#contiguous &&= slot === last;
    return slot !== before;
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
   * A sequence of the same tokens that goes its own way: one prompt, several answers. Pages are shared until one of the two writes into
   * them, which copies a page at most. Either may be disposed first.
   *
   * @throws HipError `internal` while tokens wait in a call that was not submitted; after the GPU has refused a step, that error's code
   *
   * @example
   * ```ts
   * const answers = [cache.fork(), cache.fork()];
   * ```
   */
  fork(): KvCache {
    this.#checkIdle();
    const { pool } = this;
    const fork = new KvCache(pool, { maxTokens: this.maxTokens });
    const pages = this.#pages.slice(0, Math.ceil(this.#length / pool.pageTokens));
    for (const page of pages) pool.planner.share(page);
    fork.#pages = pages;
    fork.#length = this.#length;
    fork.#contiguous = this.#contiguous;
    fork.writeTable();
    return fork;
  }

  /**
   * Keeps the first `length` tokens, and gives back the pages of the others. Allocates nothing.
   *
   * @throws HipError `invalid-config` unless `length` is an integer from 0 to the length held; see {@link fork}
   */
  truncate(length: number): void {
    this.#checkIdle();
    checkCut(length, this.#length);
    const { pool } = this;
    for (const page of this.#pages.splice(Math.ceil(length / pool.pageTokens)).toReversed()) pool.release(page);
    this.#length = length;
    if (length === 0) this.#contiguous = !pool.offload;
  }

  /**
   * Adds passes that write `tokens` new tokens, and counts them. A call that is disposed, or refused, without a submit takes them back;
   * when the GPU refuses it afterwards, the cache goes no further.
   *
   * @param k [tokens, Hkv, d] @param v [tokens, Hkv, d]
   * @throws HipError `invalid-shape`, `out-of-memory`; nothing has changed then
   */
  append(call: GpuCall, k: GpuTensor, v: GpuTensor, tokens: number): void {
    const undo = this.checkpoint();
    this.#check(tokens);
    if (this.#pending !== call) this.reserve(tokens);
    else this.#reserve(tokens);
    try {
      this.encodeAppend(call, k, v, tokens);
    } catch (error) {
      undo();
      throw error;
    }
    this.advance(tokens);
    this.#pending = call;
    call.watch({
      submitted: () => {
        if (this.#pending === call) this.#pending = undefined;
      },
      abandoned: undo,
      failed: (error) => this.fail(error),
    });
  }

  /** The append passes alone. @param uniform per pool, for prepared calls */
  encodeAppend(
    call: GpuCall,
    k: GpuTensor,
    v: GpuTensor,
    tokens: number,
    uniform?: (pool: number) => BufferRange,
  ): void {
    encodeAppend(call, this.#target, { k, v }, tokens, uniform);
  }

  /** The uniform of an append of `tokens` at the end. */
  appendUniform(pool: number, tokens: number): ArrayBuffer {
    return appendUniform(this.#target, pool, tokens);
  }

  get #target(): AppendTarget {
    return { pool: this.pool, first: this.#length, table: this.#contiguous ? undefined : this.table };
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

  /** Frees the sequence's pages; those of forks stay theirs. */
  dispose(): void {
    if (this.#disposed) return;
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

/** @throws HipError `invalid-config` */
export function checkCut(length: number, held: number): void {
  if (Number.isSafeInteger(length) && length >= 0 && length <= held) return;
  throw new HipError('invalid-config', `length is ${length}: give an integer from 0 to ${held}`, {
    name: 'length',
    value: length,
  });
}
