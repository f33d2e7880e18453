// Scratch buffers kept per device: a call borrows them and gives them back at its submit, since a queue runs in order.
import type { DeviceLimits } from '../device/limits.ts';
import { limitError, type HipError } from '../errors/gpu-errors.ts';

interface Allocator {
  readonly device: GPUDevice;
  readonly limits: DeviceLimits;
  scoped<T>(filter: GPUErrorFilter, what: string, action: () => T): T;
  watch<T>(onFailure: (error: HipError) => void, action: () => T): T;
}

const SMALLEST = 256;

/** Bytes that a pooled buffer takes: the next power of two, few distinct sizes, so that buffers are found again. */
export function pooledBytes(bytes: number): number {
  return Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(bytes)));
}

/** Allocates a buffer inside an error scope. @throws HipError `unsupported` above the device's largest buffer */
export function createBuffer(context: Allocator, bytes: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
  const size = Math.max(4, Math.ceil(bytes / 4) * 4);
  if (size > context.limits.maxBufferSize)
    throw limitError(
      'maxBufferSize',
      size,
      context.limits.maxBufferSize,
      `split ${label} into smaller pieces, or request a device with a larger limit`,
    );
  return context.scoped('out-of-memory', `${label} (${size} bytes)`, () =>
    context.device.createBuffer({ size, usage, label }),
  );
}

export class BufferPool {
  readonly #context: Allocator;
  readonly #free = new Map<string, GPUBuffer[]>();
  /** Buffers for which the GPU had no memory. They are objects all the same, and every use of one is an error. */
  readonly #void = new WeakSet<GPUBuffer>();
  #bytes = 0;

  constructor(context: Allocator) {
    this.#context = context;
  }

  /** Bytes the pool has allocated, borrowed or not. */
  get bytes(): number {
    return this.#bytes;
  }

  take(bytes: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
    const size = Math.min(pooledBytes(bytes), Math.max(bytes, this.#context.limits.maxBufferSize));
    const list = this.#free.get(`${size}:${usage}`);
    for (let found = list?.pop(); found; found = list?.pop()) if (!this.#void.has(found)) return found;
    let made: GPUBuffer | undefined;
    const refused = (): void => {
      if (!made) return;
      this.#void.add(made);
      this.#bytes -= size;
    };
    const buffer = this.#context.watch(refused, () => createBuffer(this.#context, size, usage, label));
    made = buffer;
    this.#bytes += size;
    return buffer;
  }

  give(buffer: GPUBuffer): void {
    if (this.#void.has(buffer)) return;
    const key = `${buffer.size}:${buffer.usage}`;
    const list = this.#free.get(key);
    if (list) list.push(buffer);
    else this.#free.set(key, [buffer]);
  }

  /** Frees every buffer that is not borrowed. */
  clear(): void {
    for (const list of this.#free.values()) {
      for (const buffer of list) {
        if (this.#void.has(buffer)) continue;
        this.#bytes -= buffer.size;
        buffer.destroy();
      }
    }
    this.#free.clear();
  }
}
