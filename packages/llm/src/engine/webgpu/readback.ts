// What comes back from the GPU: staging buffers that are used again, copied to in the submit that makes their numbers.
import { type BufferRange, type GpuCall, type GpuContext } from '@hip/kernels-webgpu';

const READ = 0x01; // GPUMapMode.READ
const USAGE = 0x01 | 0x08; // MAP_READ | COPY_DST

/** A buffer that a submit copies to, and that is then read once. */
export interface Staging {
  readonly buffer: GPUBuffer;
  /** Waits for the GPU. @throws HipError `device-lost` */
  read(bytes: number): Promise<ArrayBuffer>;
  /** For one that will not be read. */
  drop(): void;
}

export class Readback implements Disposable {
  readonly #context: GpuContext;
  readonly #free: GPUBuffer[] = [];
  #closed = false;

  constructor(context: GpuContext) {
    this.#context = context;
  }

  /** Room for so many bytes. */
  take(bytes: number): Staging {
    const size = 4 * Math.ceil(bytes / 4);
    const at = this.#free.findIndex((buffer) => buffer.size >= size);
    const buffer = at >= 0 ? (this.#free.splice(at, 1)[0] as GPUBuffer) : this.#create(size);
    const give = (): void => {
      if (this.#closed || this.#free.length >= 4) buffer.destroy();
      else this.#free.push(buffer);
    };
    const read = async (length: number): Promise<ArrayBuffer> => {
      try {
        await this.#context.orLost(buffer.mapAsync(READ, 0, size));
        const copy = buffer.getMappedRange(0, size).slice(0, length);
        buffer.unmap();
        give();
        return copy;
      } catch (error) {
        buffer.destroy();
        // Of a submit that was refused its error scopes say why.
        if (!this.#context.lost) await this.#context.settled();
        throw this.#context.lost ?? error;
      }
    };
    return { buffer, read, drop: give };
  }

  #create(size: number): GPUBuffer {
    const { device } = this.#context;
    return this.#context.scoped('out-of-memory', 'a staging buffer', () =>
      device.createBuffer({ size: Math.max(256, size), usage: USAGE, label: 'staging' }),
    );
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const buffer of this.#free.splice(0)) buffer.destroy();
  }
}

/** Adds a copy of a range to a staging buffer. */
export function copyOut(
  call: GpuCall,
  { buffer, offset = 0 }: BufferRange,
  staging: Staging,
  at: number,
  bytes: number,
): void {
  call.copy(buffer, offset, staging.buffer, at, 4 * Math.ceil(bytes / 4));
}
