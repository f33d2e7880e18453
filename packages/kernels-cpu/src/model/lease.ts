// Memory that its holder gives back once.
import { HipError } from '@hip/mask-search';
import type { Heap } from '../runtime/heap.ts';

export class Lease {
  readonly heap: Heap;
  #at: number | undefined;

  /** @throws HipError `out-of-memory` */
  constructor(heap: Heap, bytes: number, fix: string) {
    this.heap = heap;
    this.#at = heap.allocate(bytes, fix);
  }

  /** Where it lies. @throws HipError `internal` after {@link end} */
  at(what: string): number {
    if (this.#at === undefined) throw new HipError('internal', `this ${what} is disposed: create another`, { what });
    return this.#at;
  }

  /** Gives the memory back. */
  end(): void {
    if (this.#at !== undefined) this.heap.release(this.#at);
    this.#at = undefined;
  }
}
