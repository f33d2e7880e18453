// The WebAssembly memory's allocator: first fit over a sorted free list, neighbours joined on release, grown on demand.
import { HipError } from '@hip/mask-search';

const PAGE = 65536;
/** 4 GiB: what 32-bit WebAssembly can address. */
export const MAX_BYTES = 65536 * PAGE;

/** Rounds up to a cache line. */
export function alignBytes(bytes: number): number {
  return Math.ceil(Math.max(bytes, 1) / 64) * 64;
}

interface Gap {
  at: number;
  bytes: number;
}

export class Heap {
  readonly memory: WebAssembly.Memory;
  readonly #sizes = new Map<number, number>();
  readonly #gaps: Gap[] = [];
  /** Everything from here on is free. */
  #end: number;
  #used = 0;
  #peak = 0;

  constructor(memory: WebAssembly.Memory, start: number) {
    this.memory = memory;
    this.#end = alignBytes(start);
  }

  /** Bytes in use. */
  get used(): number {
    return this.#used;
  }

  /** Most bytes that have been in use at once. */
  get peak(): number {
    return this.#peak;
  }

  /** @param fix what to do where the memory ends. @throws HipError `out-of-memory` */
  allocate(bytes: number, fix = 'use fewer heads or rows a call, or a float16 cache'): number {
    const size = alignBytes(bytes);
    const at = this.#fit(size, fix);
    this.#sizes.set(at, size);
    this.#used += size;
    this.#peak = Math.max(this.#peak, this.#used);
    return at;
  }

  release(at: number): void {
    const bytes = this.#sizes.get(at);
    if (bytes === undefined) throw new HipError('internal', `address ${at} is not allocated`, { at });
    this.#sizes.delete(at);
    this.#used -= bytes;
    let index = this.#gaps.findIndex((gap) => gap.at > at);
    if (index < 0) index = this.#gaps.length;
    this.#gaps.splice(index, 0, { at, bytes });
    this.#join(index);
    if (index > 0) this.#join(index - 1);
    const last = this.#gaps.at(-1);
    if (last && last.at + last.bytes === this.#end) {
      this.#end = last.at;
      this.#gaps.pop();
    }
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, length);
  }

  ints(at: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, at, length);
  }

  #fit(size: number, fix: string): number {
    const index = this.#gaps.findIndex(({ bytes }) => bytes >= size);
    if (index >= 0) {
      const gap = this.#gaps[index]!;
      const { at } = gap;
      gap.at += size;
      gap.bytes -= size;
      if (gap.bytes === 0) this.#gaps.splice(index, 1);
      return at;
    }
    const at = this.#end;
    const end = at + size;
    // The last page stays free: kernels may read a vector beyond a row.
    if (end > MAX_BYTES - PAGE)
      throw new HipError(
        'out-of-memory',
        `this needs ${end} bytes of WebAssembly memory, which addresses ${MAX_BYTES}: ${fix}`,
        { needed: end, available: MAX_BYTES },
      );
    const missing = end + PAGE - this.memory.buffer.byteLength;
    if (missing > 0) {
      try {
        this.memory.grow(Math.ceil(missing / PAGE));
      } catch (cause) {
        throw new HipError(
          'out-of-memory',
          `the engine refused ${end} bytes of WebAssembly memory: ${fix}`,
          { needed: end },
          { cause },
        );
      }
    }
    this.#end = end;
    return at;
  }

  #join(index: number): void {
    const gap = this.#gaps[index];
    const next = this.#gaps[index + 1];
    if (!gap || !next || gap.at + gap.bytes !== next.at) return;
    gap.bytes += next.bytes;
    this.#gaps.splice(index + 1, 1);
  }
}

/** Allocations released together: a call's, or a cache's. */
export class Scope {
  readonly #heap: Heap;
  readonly #addresses = new Set<number>();

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  allocate(bytes: number, fix?: string): number {
    const at = this.#heap.allocate(bytes, fix);
    this.#addresses.add(at);
    return at;
  }

  release(at: number): void {
    if (this.#addresses.delete(at)) this.#heap.release(at);
  }

  [Symbol.dispose](): void {
    for (const at of this.#addresses) this.#heap.release(at);
    this.#addresses.clear();
  }
}
