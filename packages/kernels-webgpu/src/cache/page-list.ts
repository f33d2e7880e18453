// The pages of one sequence in order of tokens, and the table by which kernels find them.
import { HipError } from '@hip/mask-search';
import type { BufferRange } from '../dispatch/call.ts';
import type { KvPool } from './kv-pool.ts';
import type { TablePlace } from './page-tables.ts';

/** In place of a page that was given back, or never made: no kernel reads its tokens. */
const NO_PAGE = -1;

export class PageList {
  readonly pool: KvPool;
  /** Pages for which the table has room. */
  readonly room: number;
  readonly place: TablePlace;
  #pages: number[] = [];
  /** Page i lies in slot i. */
  #inOrder: boolean;
  /** A pool that moves pages cannot promise that, nor a list that gives back its first ones. */
  readonly #staysInOrder: boolean;
  /** Places before this one have no page. */
  #dropped = 0;

  /** @param slides - older pages will be given back */
  constructor(pool: KvPool, room: number, slides = false) {
    this.pool = pool;
    this.room = room;
    this.#staysInOrder = !pool.offload && !slides;
    this.#inOrder = this.#staysInOrder;
    this.place = pool.tables.take(room);
  }

  /** Pages by place; negative where there is none any more. */
  get pages(): readonly number[] {
    return this.#pages;
  }

  /** Place of the first page behind which all are there. */
  get first(): number {
    return this.#pages.lastIndexOf(NO_PAGE) + 1;
  }

  get table(): BufferRange {
    const { buffer, first, words } = this.place;
    return { buffer, offset: 4 * first, size: 4 * words };
  }

  get inOrder(): boolean {
    return this.#inOrder;
  }

  /**
   * Makes room for tokens [length, end): the page that is partly filled becomes the sequence's own, others are added.
   *
   * @param cold pages that will be full get no slot: who fills them elsewhere says where they go
   * @param from first token of which keys and values stay: there are no pages for those before
   * @throws HipError `out-of-memory`; {@link mark} takes back what was added by then
   */
  extend(
    length: number,
    end: number,
    { cold = false, from = 0 }: { readonly cold?: boolean; readonly from?: number } = {},
  ): void {
    const { pool } = this;
    if (end > this.room * pool.pageTokens)
      throw new HipError(
        'out-of-memory',
        `the sequence would hold ${end} tokens, its page table ${this.room * pool.pageTokens}: give a larger maxTokens`,
        { tokens: end, maxTokens: this.room * pool.pageTokens },
      );
    let moved = this.#openLast(length);
    const before = this.#pages.length;
    while (this.#pages.length * pool.pageTokens < end) {
      if ((this.#pages.length + 1) * pool.pageTokens <= from) {
        this.#inOrder = false;
        this.#pages.push(NO_PAGE);
        continue;
      }
      if (cold && (this.#pages.length + 1) * pool.pageTokens <= end) {
        this.#pages.push(pool.planner.createCold());
        continue;
      }
      const { page, slot, evicted } = pool.planner.create();
      // The page that is being filled has no host copy, so it cannot be evicted.
      this.#inOrder &&= slot === this.#pages.length;
      moved ||= evicted !== undefined;
      this.#pages.push(page);
    }
    if (moved) this.writeTable();
    else if (this.#pages.length > before) this.#write(before);
  }

  /** Makes the page that is partly filled this sequence's own, and brings it to the device. @returns whether slots have changed */
  #openLast(length: number): boolean {
    const { pool } = this;
    const last = Math.floor(length / pool.pageTokens);
    const page = this.#pages[last];
    if (page === undefined || length % pool.pageTokens === 0) return false;
    const before = pool.planner.slotOf(page);
    const own = pool.writable(page);
    this.#pages[last] = own;
    const slot = pool.planner.slotOf(own);
    this.#inOrder &&= slot === last;
    return slot !== before;
  }

  /** What gives back pages that are added from now on. */
  mark(): () => void {
    const [count, inOrder] = [this.#pages.length, this.#inOrder];
    return () => {
      // The last page may be a copy of its own by now: it holds the same tokens.
      this.#release(count);
      this.#inOrder =
        inOrder && this.#pages.every((page, i) => page !== NO_PAGE && this.pool.planner.slotOf(page) === i);
    };
  }

  /** Keeps the pages of the first `length` tokens. */
  cut(length: number): void {
    this.#release(Math.ceil(length / this.pool.pageTokens));
    if (length === 0) this.#inOrder = this.#staysInOrder;
  }

  /** Gives back pages that hold tokens before `token` alone. */
  drop(token: number): void {
    const end = Math.min(this.#pages.length, Math.floor(Math.max(0, token) / this.pool.pageTokens));
    for (; this.#dropped < end; this.#dropped++) {
      const page = this.#pages[this.#dropped]!;
      if (page !== NO_PAGE) this.pool.release(page);
      this.#pages[this.#dropped] = NO_PAGE;
      this.#inOrder = false;
    }
  }

  /** Takes the pages of another's first `length` tokens, which both hold from now on. */
  share(other: PageList, length: number): void {
    this.#pages = other.#pages.slice(0, Math.ceil(length / this.pool.pageTokens));
    for (const page of this.#pages) if (page !== NO_PAGE) this.pool.planner.share(page);
    this.#inOrder = other.#inOrder;
    this.#dropped = Math.min(other.#dropped, this.#pages.length);
    this.writeTable();
  }

  /** Writes all slots; pages that only the host has keep a stale one, which no kernel may read. */
  writeTable(): void {
    this.#write(0);
  }

  /** Writes the slots of all pages from `first` on. */
  #write(first: number): void {
    const { planner, context } = this.pool;
    const slots = Uint32Array.from(this.#pages.slice(first), (page) =>
      page === NO_PAGE ? 0 : (planner.slotOf(page) ?? 0),
    );
    context.device.queue.writeBuffer(this.place.buffer, 4 * (this.place.first + first), slots);
  }

  dispose(): void {
    this.#release(0);
    this.pool.tables.give(this.place);
  }

  /** Gives back all pages but the first `count`, the last one first. */
  #release(count: number): void {
    this.#dropped = Math.min(this.#dropped, count);
    for (const page of this.#pages.splice(count).toReversed()) if (page !== NO_PAGE) this.pool.release(page);
  }
}
