// Buffers of recorded work: nobody else's numbers may lie where a recording will write again.

/** The part of a WebGPU buffer used here. */
export interface GpuBuffer {
  readonly size: number;
  readonly usage: number;
  destroy(): void;
}

/** What of tfjs-webgpu's buffer manager its backend and this package use. */
export interface BufferManager {
  numFreeBuffers: number;
  numBytesUsed: number;
  numBytesAllocated: number;
  readonly freeBuffers: Map<string, GpuBuffer[]>;
  readonly device: { createBuffer(descriptor: object): GpuBuffer };
  /** @throws PoolFull */
  acquireBuffer(size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean): GpuBuffer;
  releaseBuffer(buffer: GpuBuffer, reuse?: boolean): void;
}

/** `GPUBufferUsage.STORAGE`. */
const STORAGE = 128;

/** Whose a buffer is. */
const owners = new WeakMap<object, RecordingPool>();
/** In which order a pool's buffers were made. */
const places = new WeakMap<object, number>();
const patched = new WeakSet<object>();

/** A pool may not take so many bytes. */
export class PoolFull extends Error {
  override readonly name = 'PoolFull';
}

/** Stands in for a backend's buffer manager while work is recorded. Uniforms and staging stay tfjs' own. */
export class RecordingPool implements BufferManager {
  readonly freeBuffers = new Map<string, GpuBuffer[]>();
  readonly #main: BufferManager;
  readonly #maxBytes: number;
  readonly #all = new Set<GpuBuffer>();
  readonly #pinned = new Set<GpuBuffer>();
  readonly #acquire: BufferManager['acquireBuffer'];
  #afresh = false;
  /** Buffers made so far. */
  count = 0;
  numFreeBuffers = 0;
  numBytesUsed = 0;
  numBytesAllocated = 0;

  /** @param maxBytes of all of its buffers */
  constructor(main: BufferManager, maxBytes: number) {
    this.#main = main;
    this.#maxBytes = maxBytes;
    this.#acquire = main.acquireBuffer.bind(main);
    if (patched.has(main)) return;
    patched.add(main);
    const release = main.releaseBuffer.bind(main);
    main.releaseBuffer = (buffer, reuse) => {
      const owner = owners.get(buffer);
      if (owner) owner.#takeBack(buffer);
      else release(buffer, reuse);
    };
  }

  get device(): BufferManager['device'] {
    return this.#main.device;
  }

  /** Buffers that it holds. */
  get buffers(): number {
    return this.#all.size;
  }

  owns(buffer: GpuBuffer): boolean {
    return owners.get(buffer) === this;
  }

  /** Whether a buffer is of the first `count` of this pool. */
  isOlder(buffer: object | null | undefined, count: number): boolean {
    return (
      buffer !== null && buffer !== undefined && owners.get(buffer) === this && (places.get(buffer) as number) < count
    );
  }

  /** Runs synchronous work that takes no buffer that was used before. */
  afresh<T>(run: () => T): T {
    this.#afresh = true;
    try {
      return run();
    } finally {
      this.#afresh = false;
    }
  }

  /** Keeps a buffer as it is, whoever releases it. */
  pin(buffer: GpuBuffer): void {
    if (this.owns(buffer)) this.#pinned.add(buffer);
  }

  /** What nobody asks for any more: it goes back to whoever takes buffers. */
  unpin(buffer: GpuBuffer): void {
    if (this.#pinned.delete(buffer)) this.#takeBack(buffer);
  }

  /** @throws PoolFull */
  acquireBuffer(size: number, usage: number, mappedAtCreation = false, reuse = true): GpuBuffer {
    if ((usage & STORAGE) === 0) return this.#acquire(size, usage, mappedAtCreation, reuse);
    // What comes from the host is written once: no earlier dispatch may write there when it is played.
    const isFresh = this.#afresh || mappedAtCreation;
    const known = isFresh ? undefined : this.freeBuffers.get(`${size}_${usage}`)?.pop();
    if (!known && this.numBytesAllocated + size > this.#maxBytes) throw new PoolFull(`${size} bytes more`);
    this.numBytesUsed += size;
    if (known) {
      this.numFreeBuffers--;
      return known;
    }
    const buffer = this.device.createBuffer({ size, usage, mappedAtCreation });
    this.numBytesAllocated += size;
    this.#all.add(buffer);
    owners.set(buffer, this);
    places.set(buffer, this.count++);
    return buffer;
  }

  releaseBuffer(buffer: GpuBuffer, reuse = true): void {
    const owner = owners.get(buffer);
    if (owner) owner.#takeBack(buffer);
    else this.#main.releaseBuffer(buffer, reuse);
  }

  /** Frees all of its buffers. No command that waits for submission may bind one. */
  dispose(): void {
    for (const buffer of this.#all) buffer.destroy();
    this.#all.clear();
    this.freeBuffers.clear();
    this.#pinned.clear();
    this.numFreeBuffers = this.numBytesUsed = this.numBytesAllocated = 0;
  }

  #takeBack(buffer: GpuBuffer): void {
    // Destroyed, or kept as it is.
    if (!this.#all.has(buffer) || this.#pinned.has(buffer)) return;
    const key = `${buffer.size}_${buffer.usage}`;
    const free = this.freeBuffers.get(key) ?? [];
    this.freeBuffers.set(key, free);
    free.push(buffer);
    this.numFreeBuffers++;
    this.numBytesUsed -= buffer.size;
  }
}
