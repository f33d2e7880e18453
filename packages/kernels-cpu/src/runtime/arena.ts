// One call's memory: a bump allocator over the shared WebAssembly memory, grown on demand, reset after the call.
import { HipError } from '@hip/mask-search';

const PAGE = 65536;
/** 4 GiB: what 32-bit WebAssembly can address. */
export const MAX_BYTES = 65536 * PAGE;

/** Rounds up to a cache line. */
export function alignBytes(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly #start: number;
  #next: number;
  #peak = 0;

  constructor(memory: WebAssembly.Memory, start: number) {
    this.memory = memory;
    this.#start = alignBytes(start);
    this.#next = this.#start;
  }

  /** @throws HipError `out-of-memory` */
  allocate(bytes: number): number {
    const at = this.#next;
    const end = at + alignBytes(Math.max(bytes, 1));
    if (end > MAX_BYTES - PAGE) {
      throw new HipError('out-of-memory', `this call needs ${end} bytes of WebAssembly memory, which addresses ${MAX_BYTES}: use fewer heads a call or prefill in chunks`, { needed: end, available: MAX_BYTES });
    }
    const missing = end - this.memory.buffer.byteLength;
    if (missing > 0) {
      try {
        this.memory.grow(Math.ceil(missing / PAGE));
      } catch (cause) {
        throw new HipError('out-of-memory', `the engine refused ${end} bytes of WebAssembly memory: use fewer heads a call or prefill in chunks`, { needed: end }, { cause });
      }
    }
    this.#next = end;
    this.#peak = Math.max(this.#peak, end - this.#start);
    return at;
  }

  reset(): void {
    this.#next = this.#start;
  }

  /** Most bytes any call has used. */
  get peak(): number {
    return this.#peak;
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, length);
  }

  ints(at: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, at, length);
  }
}
