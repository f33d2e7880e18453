// The keys and values of one sequence in the pages of a pool: append, page table, views for kernels.
import { HipError } from '@hip/mask-search';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { encodeAppend, type AppendTarget } from './append.ts';
import { canCut, checkCut, checkMaxTokens, slidError } from './cuts.ts';
import { CacheGuard } from './guard.ts';
import type { KvPool } from './kv-pool.ts';
import { keptFrom, type Sliding } from './sliding.ts';
import { PageList } from './page-list.ts';
import type { TablePlace } from './page-tables.ts';
import { viewsOf, type CacheView } from './view.ts';

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
  /** Of a layer that attends to its last keys: the pages of older ones are given back. */
  readonly sliding: Sliding | undefined;
  readonly #list: PageList;
  #length = 0;
  readonly #guard = new CacheGuard();

  /**
   * @param maxTokens longest sequence. @defaultValue what the pool holds, 16 times that with offload
   * @param sliding what a layer with a sliding window holds on to. @defaultValue all tokens
   * @throws HipError `invalid-config`
   */
  constructor(
    pool: KvPool,
    {
      maxTokens = pool.plan.slots * pool.pageTokens * (pool.offload ? 16 : 1),
      sliding,
    }: { readonly maxTokens?: number; readonly sliding?: Sliding | undefined } = {},
  ) {
    checkMaxTokens(maxTokens);
    this.pool = pool;
    this.sliding = sliding;
    this.#list = new PageList(pool, Math.ceil(maxTokens / pool.pageTokens), this.slides);
  }

  /** Tokens so far. */
  get length(): number {
    return this.#length;
  }

  /** Pages of older tokens are given back. */
  get slides(): boolean {
    return Number.isFinite(this.sliding?.keep ?? Infinity);
  }

  /** Place of the first page behind which all are there. */
  get firstPage(): number {
    return this.#list.first;
  }

  get maxTokens(): number {
    return this.#list.room * this.pool.pageTokens;
  }

  /** Token i is row i of the views. */
  get contiguous(): boolean {
    return this.#list.inOrder;
  }

  /** Pages in order of tokens; negative where there is none any more. */
  get pages(): readonly number[] {
    return this.#list.pages;
  }

  get table(): BufferRange {
    return this.#list.table;
  }

  /** Where the table lies among those of the pool's other sequences. */
  get tablePlace(): TablePlace {
    return this.#list.place;
  }

  /**
   * Makes room for `tokens` more: pages, slots, the table. Without room nothing has changed.
   *
   * @param cold pages that the tokens fill get no slot, see {@link PageList.extend}
   * @throws HipError `out-of-memory`; after the GPU has refused a step, that error's code
   */
  reserve(tokens: number, cold = false): void {
    this.#guard.checkTokens(this.#length, tokens);
    this.#guard.checkIdle(this.#length);
    this.#list.drop(keptFrom(this.sliding, this.#length));
    this.#reserve(tokens, cold);
  }

  /** Makes an empty cache one of `tokens` tokens, of whose pages those from place `firstPage` on are there. @throws HipError `out-of-memory` */
  restore(tokens: number, firstPage: number, cold = false): void {
    this.#guard.checkIdle(this.#length);
    this.#list.extend(0, tokens, { cold, from: firstPage * this.pool.pageTokens });
    this.#length = tokens;
  }

  /** The GPU refused what was submitted for this sequence: it goes no further. */
  fail(error: HipError): void {
    this.#guard.fail(error);
  }

  /** What takes the cache back to now: length, pages, order. For steps that end before they were submitted. */
  checkpoint(): () => void {
    const [length, pending, giveBack] = [this.#length, this.#guard.pending, this.#list.mark()];
    return () => {
      if (this.#guard.disposed) return;
      giveBack();
      this.#length = length;
      this.#guard.pending = pending;
    };
  }

  #reserve(tokens: number, cold = false): void {
    const undo = this.checkpoint();
    try {
      const end = this.#length + tokens;
      this.#list.extend(this.#length, end, { cold: cold && this.pool.offload, from: keptFrom(this.sliding, end) });
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** Writes all slots; pages that only the host has keep a stale one, which no kernel may read. */
  writeTable(): void {
    this.#list.writeTable();
  }

  /** Counts tokens that an append pass has written or will write. */
  advance(tokens: number): void {
    const { pool } = this;
    const before = Math.floor(this.#length / pool.pageTokens);
    this.#length += tokens;
    for (let i = before; i < Math.floor(this.#length / pool.pageTokens); i++) pool.filled(this.pages[i]!);
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
    this.#guard.checkIdle(this.#length);
    const fork = new KvCache(this.pool, { maxTokens: this.maxTokens, sliding: this.sliding });
    fork.#list.share(this.#list, this.#length);
    fork.#length = this.#length;
    return fork;
  }

  /**
   * Keeps the first `length` tokens, and gives back the pages of the others. Allocates nothing.
   *
   * @throws HipError `invalid-config` unless `length` is an integer from 0 to the length held; `unsupported` where the pages of what the
   * next token sees were given back, see {@link canTruncate}; see {@link fork}
   */
  truncate(length: number): void {
    this.#guard.checkIdle(this.#length);
    this.checkCut(length);
    this.#list.cut(length);
    this.#length = length;
  }

  /** @throws what {@link truncate} throws */
  checkCut(length: number): void {
    checkCut(length, this.#length);
    if (!this.canTruncate(length)) throw slidError(length, this.firstPage * this.pool.pageTokens);
  }

  /** Whether what a token behind `length` others sees is there. */
  canTruncate(length: number): boolean {
    return canCut(this.sliding, this.firstPage * this.pool.pageTokens, length);
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
    this.#guard.checkTokens(this.#length, tokens);
    if (this.#guard.pending !== call) this.reserve(tokens);
    else this.#reserve(tokens);
    try {
      this.encodeAppend(call, k, v, tokens);
    } catch (error) {
      undo();
      throw error;
    }
    this.advance(tokens);
    this.#guard.pending = call;
    call.watch({
      submitted: () => {
        if (this.#guard.pending === call) this.#guard.pending = undefined;
      },
      abandoned: undo,
      failed: (error) => this.fail(error),
    });
  }

  /** The append passes alone, of those tokens that stay. @param uniform per pool, for prepared calls */
  encodeAppend(
    call: GpuCall,
    k: GpuTensor,
    v: GpuTensor,
    tokens: number,
    uniform?: (pool: number) => BufferRange,
  ): void {
    const { pageTokens } = this.pool;
    const page = Math.floor(keptFrom(this.sliding, this.#length + tokens) / pageTokens);
    const row = Math.max(0, page * pageTokens - this.#length);
    const target = { ...this.appendTarget, first: this.#length + row, row };
    encodeAppend(call, target, { k, v }, tokens - row, uniform);
  }

  /** Where the next tokens go. */
  get appendTarget(): AppendTarget {
    return { pool: this.pool, first: this.#length, table: this.contiguous ? undefined : this.table };
  }

  /** What kernels bind, one view per pool. */
  views(): CacheView[] {
    return viewsOf(this.pool, this.contiguous ? undefined : this.table);
  }

  /** Frees the sequence's pages; those of forks stay theirs. */
  dispose(): void {
    if (!this.#guard.dispose()) return;
    this.#list.dispose();
    this.#length = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
