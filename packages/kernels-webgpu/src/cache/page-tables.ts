// Page tables of the sequences of one pool, several to a buffer, so that one dispatch can serve several sequences.
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';

/** A sequence's table: words [first, first + words) of a buffer. */
export interface TablePlace {
  readonly buffer: GPUBuffer;
  /** In words of four bytes; bindings may begin there. */
  readonly first: number;
  readonly words: number;
}

/** Tables of a buffer. */
const PER_BUFFER = 16;

interface Shelf {
  readonly buffer: GPUBuffer;
  readonly stride: number;
  readonly free: number[];
}

export class PageTables implements Disposable {
  readonly #context: GpuContext;
  readonly #shelves: Shelf[] = [];

  constructor(context: GpuContext) {
    this.#context = context;
  }

  /** Room for `words` pages. */
  take(words: number): TablePlace {
    const alignment = this.#context.limits.minStorageBufferOffsetAlignment / 4;
    const stride = Math.ceil(words / alignment) * alignment;
    let shelf = this.#shelves.find((each) => each.stride === stride && each.free.length > 0);
    if (!shelf) {
      const buffer = createBuffer(this.#context, 4 * stride * PER_BUFFER, 0x80 | 0x08 | 0x04, 'page tables'); // STORAGE | COPY_DST | COPY_SRC
      shelf = { buffer, stride, free: Array.from({ length: PER_BUFFER }, (_, i) => PER_BUFFER - 1 - i) };
      this.#shelves.push(shelf);
    }
    return { buffer: shelf.buffer, first: shelf.free.pop()! * stride, words };
  }

  give({ buffer, first }: TablePlace): void {
    const shelf = this.#shelves.find((each) => each.buffer === buffer);
    shelf?.free.push(first / shelf.stride);
  }

  [Symbol.dispose](): void {
    for (const { buffer } of this.#shelves.splice(0)) buffer.destroy();
  }
}
