// Which page lies in which slot of the device, and which one goes when a slot is needed: an LRU over pages that have a host copy. Pure.
import { HipError } from '@hip/mask-search';

/** A page placed in a slot; `evicted` lost that slot. */
export interface Placement {
  readonly page: number;
  readonly slot: number;
  readonly evicted?: number | undefined;
}

interface PageState {
  slot: number | undefined;
  /** Sequences that hold the page. */
  holders: number;
  /** The host has a copy. */
  saved: boolean;
}

/**
 * Slots are given in ascending order while there are free ones. A page that has no host copy, or is pinned, is never evicted.
 *
 * @example
 * ```ts
 * const planner = new PagePlanner(2);
 * console.log(planner.create()); // => { page: 0, slot: 0 }
 * ```
 */
export class PagePlanner {
  readonly slots: number;
  readonly #pages = new Map<number, PageState>();
  /** Those on the device, least recently used first. */
  readonly #resident = new Map<number, PageState>();
  readonly #free: number[];
  readonly #pinned = new Set<number>();
  #next = 0;

  /** @param slots pages on the device at once */
  constructor(slots: number) {
    this.slots = slots;
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
  }

  /** Pages that exist, resident or not. */
  get pages(): number {
    return this.#pages.size;
  }

  /** Pages on the device. */
  get resident(): number {
    return this.slots - this.#free.length;
  }

  /** Pages on the device that cannot leave it: without a host copy, or pinned. */
  get unsaved(): number {
    let count = 0;
    for (const [page, { saved }] of this.#resident) if (!saved || this.#pinned.has(page)) count++;
    return count;
  }

  /** Slot of a page; undefined while only the host has it. @throws HipError `internal` for a page that does not exist */
  slotOf(page: number): number | undefined {
    return this.#state(page).slot;
  }

  /** A new page on the device. @throws HipError `out-of-memory` when no slot can be freed */
  create(): Placement {
    const page = this.#next++;
    this.#pages.set(page, { slot: undefined, holders: 1, saved: false });
    try {
      return this.#place(page);
    } catch (error) {
      this.#pages.delete(page);
      throw error;
    }
  }

  /** A new page that has no slot: its content goes to the host, whose copy {@link saved} tells. */
  createCold(): number {
    const page = this.#next++;
    this.#pages.set(page, { slot: undefined, holders: 1, saved: false });
    return page;
  }

  /** Gives a page a slot, if one is free or can be freed, and marks it as used. @returns where it lies; undefined where it gets none */
  tryPlace(page: number): Placement | undefined {
    const { slot } = this.#state(page);
    if (slot !== undefined) return { page, slot };
    try {
      return this.#place(page);
    } catch (error) {
      if (error instanceof HipError && error.code === 'out-of-memory') return undefined;
      throw error;
    }
  }

  /**
   * Brings pages to the device and marks them as used, in order.
   *
   * @returns what has to be loaded, and where
   * @throws HipError `out-of-memory` when they do not fit together with the pinned ones; nothing has changed then
   */
  require(pages: Iterable<number>): Placement[] {
    const wanted = new Set(pages);
    const held = new Set([...wanted, ...this.#pinned]);
    for (const [page, { saved }] of this.#resident) if (!saved) held.add(page);
    if (held.size > this.slots)
      throw new HipError(
        'out-of-memory',
        `${held.size} pages are needed at once, the device holds ${this.slots}: allow more tokens on the device, or await settle() so that pages get a host copy`,
        {
          needed: held.size,
          slots: this.slots,
        },
      );
    for (const page of wanted) this.#use(page);
    return [...wanted].filter((page) => this.#state(page).slot === undefined).map((page) => this.#place(page));
  }

  /** Keeps a page on the device until unpinned. */
  pin(page: number): void {
    this.#state(page);
    this.#pinned.add(page);
  }

  unpin(page: number): void {
    this.#pinned.delete(page);
  }

  /** Records that the host has the page's content. */
  saved(page: number): void {
    this.#state(page).saved = true;
  }

  /** Records that the host's copy is out of date. */
  changed(page: number): void {
    this.#state(page).saved = false;
  }

  /** Whether the host has the page's content. */
  isSaved(page: number): boolean {
    return this.#state(page).saved;
  }

  /** One more sequence holds the page. */
  share(page: number): void {
    this.#state(page).holders++;
  }

  /** Whether several sequences hold the page. */
  isShared(page: number): boolean {
    return this.#state(page).holders > 1;
  }

  /** One sequence less holds the page. The last one's release frees its slot. @returns whether that was the last */
  release(page: number): boolean {
    const state = this.#state(page);
    if (--state.holders > 0) return false;
    if (state.slot !== undefined) this.#free.push(state.slot);
    this.#pages.delete(page);
    this.#resident.delete(page);
    this.#pinned.delete(page);
    return true;
  }

  #state(page: number): PageState {
    const state = this.#pages.get(page);
    if (!state) throw new HipError('internal', `page ${page} does not exist or was released`, { page });
    return state;
  }

  #use(page: number): void {
    const state = this.#state(page);
    if (state.slot === undefined) return;
    this.#resident.delete(page);
    this.#resident.set(page, state);
  }

  #place(page: number): Placement {
    const state = this.#state(page);
    let slot = this.#free.pop();
    let evicted: number | undefined;
    if (slot === undefined) {
      for (const [candidate, other] of this.#resident) {
        if (!other.saved || this.#pinned.has(candidate) || candidate === page) continue;
        evicted = candidate;
        slot = other.slot;
        other.slot = undefined;
        this.#resident.delete(candidate);
        break;
      }
    }
    if (slot === undefined)
      throw new HipError(
        'out-of-memory',
        `all ${this.slots} pages on the device are in use or have no host copy: await settle(), or allow more tokens on the device (where a window slides: more conversations)`,
        { slots: this.slots },
      );
    state.slot = slot;
    this.#use(page);
    return { page, slot, ...(evicted !== undefined && { evicted }) };
  }
}
