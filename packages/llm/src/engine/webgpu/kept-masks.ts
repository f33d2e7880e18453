// What rows of some layers read, kept on the GPU while a call runs, and read back at its end.
import { destroyMask, readMask, type GpuContext, type GpuMask } from '@hip/kernels-webgpu';
import type { BlockMask } from '@hip/mask-search';

export class KeptMasks implements Disposable {
  readonly #context: GpuContext;
  readonly #layers: ReadonlySet<number>;
  readonly #found = new Map<number, GpuMask>();

  constructor(context: GpuContext, layers: readonly number[] = []) {
    this.#context = context;
    this.#layers = new Set(layers);
  }

  /** Whether any were asked for. */
  get isAny(): boolean {
    return this.#layers.size > 0;
  }

  wants(layer: number): boolean {
    return this.#layers.has(layer);
  }

  /** Takes over a mask, in the place of one before. */
  keep(layer: number, mask: GpuMask | undefined): void {
    const before = this.#found.get(layer);
    if (before) destroyMask(before);
    if (mask) this.#found.set(layer, mask);
    else this.#found.delete(layer);
  }

  /** By layer. Waits for the queue. @throws HipError `device-lost` */
  async read(): Promise<ReadonlyMap<number, BlockMask>> {
    const found = [...this.#found];
    return new Map(
      await Promise.all(found.map(async ([at, mask]) => [at, await readMask(this.#context, mask)] as const)),
    );
  }

  [Symbol.dispose](): void {
    for (const mask of this.#found.values()) destroyMask(mask);
    this.#found.clear();
  }
}
