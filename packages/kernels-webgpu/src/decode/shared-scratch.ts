// Scratch whose content no pass reads after its own step's: one buffer a role serves every layer and every sequence of a model.
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { BufferRange } from '../dispatch/call.ts';

const USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC

export class SharedScratch implements Disposable {
  readonly #context: GpuContext;
  readonly #buffers = new Map<string, GPUBuffer>();
  /** Buffers that were too small for somebody later: calls that were prepared with them still use them. */
  readonly #outgrown: GPUBuffer[] = [];

  constructor(context: GpuContext) {
    this.#context = context;
  }

  take(role: string, bytes: number): BufferRange {
    const found = this.#buffers.get(role);
    if (found && found.size >= bytes) return { buffer: found, size: bytes };
    const buffer = createBuffer(this.#context, bytes, USAGE, role);
    if (found) this.#outgrown.push(found);
    this.#buffers.set(role, buffer);
    return { buffer, size: bytes };
  }

  /** Like {@link take}, for what no prepared call binds: a buffer that is too small goes at once. Its content is lost. */
  renew(role: string, bytes: number): BufferRange {
    const found = this.#buffers.get(role);
    if (found && found.size < bytes) {
      found.destroy();
      this.#buffers.delete(role);
    }
    return this.take(role, bytes);
  }

  /** Bytes on the device. */
  get bytes(): number {
    return [...this.#buffers.values(), ...this.#outgrown].reduce((total, { size }) => total + size, 0);
  }

  [Symbol.dispose](): void {
    for (const buffer of [...this.#buffers.values(), ...this.#outgrown]) buffer.destroy();
    this.#buffers.clear();
    this.#outgrown.length = 0;
  }
}
