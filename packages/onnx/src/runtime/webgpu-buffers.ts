// Buffers that calls of attention use one after another: what was submitted to the queue before is done with one before what comes.
const USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
/** Buffers that are kept for the next call, of one size. */
const SPARE = 8;

export class SpareBuffers implements Disposable {
  readonly #device: GPUDevice;
  readonly #spare = new Map<number, GPUBuffer[]>();
  readonly #pinned: GPUBuffer[] = [];
  #isDisposed = false;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** @param isZero - a new one, which holds zeros */
  take(bytes: number, isZero = false): GPUBuffer {
    const spare = isZero ? undefined : this.#spare.get(bytes)?.pop();
    return spare ?? this.#make(bytes);
  }

  give(buffer: GPUBuffer, bytes: number): void {
    const spare = this.#spare.get(bytes) ?? [];
    this.#spare.set(bytes, spare);
    if (this.#isDisposed || spare.length >= SPARE) buffer.destroy();
    else spare.push(buffer);
  }

  /** One that stays until all of this is disposed. */
  pin(bytes: number): GPUBuffer {
    const buffer = this.#make(4 * Math.ceil(bytes / 4));
    this.#pinned.push(buffer);
    return buffer;
  }

  #make(bytes: number): GPUBuffer {
    return this.#device.createBuffer({ size: Math.max(16, bytes), usage: USAGE, label: 'attention' });
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    for (const buffer of [...this.#spare.values()].flat()) buffer.destroy();
    for (const buffer of this.#pinned.splice(0)) buffer.destroy();
    this.#spare.clear();
  }
}
