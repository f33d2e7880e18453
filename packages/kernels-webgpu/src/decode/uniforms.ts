// Uniforms of a prepared call in one buffer: slots by name, written together before each submit.
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';

/** Bytes of the largest uniform block here. */
const SLOT = 256;

export class UniformSlots {
  readonly #context: GpuContext;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #buffer: GPUBuffer;
  readonly #stride: number;
  readonly #places = new Map<string, number>();

  constructor(context: GpuContext, slots: number) {
    this.#context = context;
    this.#stride = Math.max(SLOT, context.limits.minUniformBufferOffsetAlignment);
    this.#bytes = new Uint8Array(slots * this.#stride);
    this.#buffer = createBuffer(context, this.#bytes.length, 0x40 | 0x08, 'uniforms'); // UNIFORM | COPY_DST
  }

  #place(name: string): number {
    let place = this.#places.get(name);
    if (place === undefined) this.#places.set(name, (place = this.#places.size * this.#stride));
    return place;
  }

  range(name: string): BufferRange {
    return { buffer: this.#buffer, offset: this.#place(name), size: SLOT };
  }

  set(name: string, bytes: ArrayBuffer): void {
    this.#bytes.set(new Uint8Array(bytes), this.#place(name));
  }

  /** One write of all slots in use. */
  write(): void {
    if (this.#places.size > 0)
      this.#context.device.queue.writeBuffer(this.#buffer, 0, this.#bytes, 0, this.#places.size * this.#stride);
  }

  destroy(): void {
    this.#buffer.destroy();
  }
}
