// The pages of a store and the table through which kernels find them.
import { pageBytes, PAGE_TOKENS, type CacheType } from '../plan/layout.ts';
import { Page } from './page.ts';
import { copyBytes, type Ground } from './table.ts';

/** Room that was made for tokens which are not there yet. */
export interface Growth {
  /** The tokens are there: what they replaced is released. */
  readonly keep: () => void;
  /** They never came: all is as before. */
  readonly undo: () => void;
}

export class PageTable {
  readonly #ground: Ground;
  readonly #type: CacheType;
  #at = 0;
  /** Pages of a batch entry that the table has room for. */
  #room = 0;
  /** Pages that exist; a fork may hold them too. Undefined where they were given back. */
  #pages: (Page | undefined)[] = [];

  constructor(ground: Ground, type: CacheType) {
    this.#ground = ground;
    this.#type = type;
  }

  /** Address of the table, [B, room] addresses of pages. */
  get at(): number {
    return this.#at;
  }

  get room(): number {
    return this.#room;
  }

  get bytes(): number {
    const { shape } = this.#ground;
    const held = this.#pages.filter((page) => page !== undefined).length;
    return shape.batch * (held * pageBytes(shape, this.#type) + this.#room * 4);
  }

  /** The same pages for another store, which are shared until one of both writes into them. */
  fork(ground: Ground): PageTable {
    const fork = new PageTable(ground, this.#type);
    if (this.#room > 0) {
      const bytes = ground.shape.batch * this.#room * 4;
      fork.#at = ground.scope.allocate(bytes);
      copyBytes(ground, this.#at, fork.#at, bytes);
    }
    fork.#room = this.#room;
    fork.#pages = this.#pages.map((page) => page?.hold());
    return fork;
  }

  clear(): void {
    for (const page of this.#pages) page?.release();
    this.#pages = [];
    this.#at = this.#room = 0;
  }

  /** Makes room for `tokens` tokens in all, where `length` are held, in pages that no other store reads, or throws and changes nothing. */
  grow(length: number, tokens: number): Growth {
    const { engine, scope, shape } = this.#ground;
    const before = { at: this.#at, room: this.#room, pages: this.#pages };
    const needed = Math.ceil(tokens / PAGE_TOKENS);
    const bytes = shape.batch * pageBytes(shape, this.#type);
    const first = Math.floor(length / PAGE_TOKENS);
    if (needed <= before.pages.length && !before.pages.slice(first, needed).some((page) => page?.shared !== false))
      return { keep: () => {}, undo: () => {} };
    const pages = [...before.pages];
    const fresh: number[] = [];
    const isMoved = needed > before.room;
    try {
      for (let index = first; index < needed; index++) {
        if (pages[index]?.shared === false) continue;
        pages[index] = new Page(engine.heap, bytes);
        fresh.push(index);
      }
      if (isMoved) this.#move(needed);
    } catch (error) {
      for (const index of fresh) pages[index]!.release();
      throw error;
    }
    this.#pages = pages;
    this.#list(fresh);
    // The first page written to may hold tokens already.
    if (fresh[0] === first && length % PAGE_TOKENS !== 0)
      copyBytes(this.#ground, before.pages[first]!.at, pages[first]!.at, bytes);
    return {
      keep: () => {
        for (const index of fresh) before.pages[index]?.release();
        if (isMoved && before.room > 0) scope.release(before.at);
      },
      undo: () => {
        for (const index of fresh) pages[index]!.release();
        if (isMoved) scope.release(this.#at);
        this.#at = before.at;
        this.#room = before.room;
        this.#pages = before.pages;
        this.#list(fresh.filter((index) => index < before.pages.length));
      },
    };
  }

  /** Gives back the first `count` pages. */
  forget(count: number): void {
    for (let index = 0; index < Math.min(count, this.#pages.length); index++) {
      this.#pages[index]?.release();
      this.#pages[index] = undefined;
    }
  }

  /** Writes where pages lie into the table. */
  #list(indices: readonly number[]): void {
    const { engine, shape } = this.#ground;
    const bytes = pageBytes(shape, this.#type);
    const words = engine.heap.ints(this.#at, shape.batch * this.#room);
    for (const index of indices)
      for (let b = 0; b < shape.batch; b++) words[b * this.#room + index] = this.#pages[index]!.at + b * bytes;
  }

  /** A table of `needed` pages or more; the old one is left where it is. */
  #move(needed: number): void {
    const { engine, scope, shape, maxTokens } = this.#ground;
    const most = Math.ceil(maxTokens / PAGE_TOKENS);
    const room = most === Infinity ? Math.max(needed, 2 * this.#room) : most;
    const at = scope.allocate(shape.batch * room * 4);
    const words = engine.heap.ints(at, shape.batch * room);
    if (this.#room > 0) {
      const old = engine.heap.ints(this.#at, shape.batch * this.#room);
      for (let b = 0; b < shape.batch; b++) words.set(old.subarray(b * this.#room, (b + 1) * this.#room), b * room);
    }
    this.#at = at;
    this.#room = room;
  }
}
