// The keys and values of one sequence in the pages of a pool: append, page table, views for kernels.
import { HipError } from '@hip/mask-search';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { appendUniform, encodeAppend, type AppendTarget } from './append.ts';
import type { KvPool } from './kv-pool.ts';
import { PageList } from './page-list.ts';
import type { TablePlace } from './page-tables.ts';
import type { CacheView } from './view.ts';

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
  readonly #list: PageList;
  #length = 0;
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
    this.#list = new PageList(pool, Math.ceil(maxTokens / pool.pageTokens));
  }

  /** Tokens so far. */
  get length(): number {
    return this.#length;
  }

  get maxTokens(): number {
    return this.#list.room * this.pool.pageTokens;
  }

  /** Token i is row i of the views. */
  get contiguous(): boolean {
    return this.#list.inOrder;
  }

  /** Pages in order of tokens. */
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
    this.#check(tokens);
    this.#checkIdle();
    this.#reserve(tokens, cold);
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
    const [length, pending, giveBack] = [this.#length, this.#pending, this.#list.mark()];
    return () => {
      if (this.#disposed) return;
      giveBack();
      this.#length = length;
      this.#pending = pending;
    };
  }

  #reserve(tokens: number, cold = false): void {
    const undo = this.checkpoint();
    try {
      this.#list.extend(this.#length, this.#length + tokens, cold);
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
    this.#checkIdle();
    const fork = new KvCache(this.pool, { maxTokens: this.maxTokens });
    fork.#list.share(this.#list, this.#length);
    fork.#length = this.#length;
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
    this.#list.cut(length);
    this.#length = length;
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

  /** The append passes alone, into memory where token i is row i; `first` is the position of the first of them. */
  encodeAppendInto(
    call: GpuCall,
    into: readonly CacheView[],
    { k, v }: { readonly k: GpuTensor; readonly v: GpuTensor },
    { first, tokens }: { readonly first: number; readonly tokens: number },
  ): void {
    encodeAppend(call, { pool: this.pool, first, into }, { k, v }, tokens);
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
    return { pool: this.pool, first: this.#length, table: this.contiguous ? undefined : this.table };
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
      ...(!this.contiguous && { pages: { table: this.table, shift: pool.plan.pageShift } }),
    }));
  }

  /** Frees the sequence's pages; those of forks stay theirs. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#list.dispose();
    this.#length = 0;
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
