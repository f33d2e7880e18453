// Uniforms of a prepared call in one buffer: slots by name, written together before each submit.
import { HipError } from '@hip/mask-search';
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';

/** Bytes of the largest uniform block here. */
const SLOT = 256;

/** Index of a field among the words of a block of 4-byte scalars. */
export function wordOf({ declaration }: { readonly declaration: string }, field: string): number {
  const members = [...declaration.matchAll(/^ {2}(\w+): (?:u32|i32|f32),$/gm)].map(([, name]) => name);
  const index = members.indexOf(field);
  if (index < 0) throw new HipError('internal', `the uniform has no scalar ${field}`, { field, members });
  return index;
}

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

  /** Fills a slot; returns its words, to be changed in place before {@link write}. */
  set(name: string, bytes: ArrayBuffer): Uint32Array {
    const place = this.#place(name);
    this.#bytes.set(new Uint8Array(bytes), place);
    return new Uint32Array(this.#bytes.buffer, place, bytes.byteLength / 4);
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
