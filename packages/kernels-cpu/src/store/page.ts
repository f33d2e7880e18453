// Pages of keys and values that several caches may hold: memory goes back when the last holder lets go.
import type { Heap } from '../runtime/heap.ts';

/** PAGE_TOKENS tokens of all batch entries, one entry's page behind the other's. */
export class Page {
  /** Address of the first batch entry's page. */
  readonly at: number;
  readonly #heap: Heap;
  #holders = 1;

  /** @throws HipError `out-of-memory` */
  constructor(heap: Heap, bytes: number) {
    this.#heap = heap;
    this.at = heap.allocate(bytes);
  }

  /** Whether another cache reads it too: then it may not be written. */
  get shared(): boolean {
    return this.#holders > 1;
  }

  /** One more holder. */
  hold(): this {
    this.#holders++;
    return this;
  }

  /** One holder less. */
  release(): void {
    if (--this.#holders === 0) this.#heap.release(this.at);
  }
}
