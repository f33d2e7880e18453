// The remainder's means of a growing cache, one buffer per view: base blocks are taken in as they fill, larger ones with their last half.
import type { HipConfig } from '@hip/mask-search';
import type { ElementType } from '../device/features.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import { limitError } from '../errors/gpu-errors.ts';
import { encodeMeans } from '../remainder/encode.ts';
import { meansBytes, meansLayout, type MeansLayout } from '../remainder/layout.ts';
import type { CacheView } from './view.ts';

/** Means of one view. */
export class CacheMeans {
  readonly layout: MeansLayout;
  readonly #buffer: GPUBuffer;
  readonly #size: number;
  readonly #headDim: number;
  /** Base blocks that are taken in. */
  #blocks = 0;

  /** @throws HipError `unsupported` where the means of `maxTokens` tokens do not fit a binding */
  constructor(
    { context }: Pick<GpuCall, 'context'>,
    { sink, window, remainder }: Pick<HipConfig, 'sink' | 'window'> & { readonly remainder: object },
    { kvHeads, headDim, type }: { readonly kvHeads: number; readonly headDim: number; readonly type: ElementType },
    maxTokens: number,
  ) {
    this.layout = meansLayout(remainder, sink, maxTokens - window);
    this.#size = meansBytes({ batch: 1, kvHeads, headDim }, this.layout, type);
    this.#headDim = headDim;
    const limit = context.limits.maxStorageBufferBindingSize;
    if (this.#size > limit)
      throw limitError(
        'maxStorageBufferBindingSize',
        this.#size,
        limit,
        'use a larger remainder.block, or hold fewer tokens',
      );
    this.#buffer = createBuffer(context, this.#size, 0x80 | 0x08 | 0x04, 'means'); // STORAGE | COPY_DST | COPY_SRC
  }

  /** Bytes on the device. */
  get bytes(): number {
    return this.#size;
  }

  get range(): BufferRange {
    return { buffer: this.#buffer, size: this.#size };
  }

  /** Whole base blocks that `keys` tokens fill, of those there is room for: a block beyond is never below a window. */
  #filled(keys: number): number {
    const { sink, block, baseBlocks } = this.layout;
    return Math.min(baseBlocks, Math.max(0, Math.floor((keys - sink) / block)));
  }

  /** Whether `keys` tokens fill a block that is not taken in. */
  behind(keys: number): boolean {
    return this.#filled(keys) > this.#blocks;
  }

  /** Base blocks that are taken in, to go back to. */
  get known(): number {
    return this.#blocks;
  }

  /** The first token that is taken in by no block. */
  get knownTokens(): number {
    return this.layout.sink + this.#blocks * this.layout.block;
  }

  /** Forgets what was taken in after {@link known} said so. */
  forget(blocks: number): void {
    this.#blocks = Math.min(this.#blocks, blocks);
  }

  /** Forgets blocks that `keys` tokens do not fill. */
  truncate(keys: number): void {
    this.forget(this.#filled(keys));
  }

  /** Copies everything to another of the same layout. */
  copyTo(call: GpuCall, other: CacheMeans): void {
    if (this.#blocks > 0) call.copy(this.#buffer, 0, other.#buffer, 0, this.#buffer.size);
    other.#blocks = this.#blocks;
  }

  /** Adds the passes that take in everything up to `keys`. */
  update(call: GpuCall, { k, v, kvHeads, keyRows, pages }: CacheView, keys: number): void {
    const end = this.#filled(keys);
    const shape = { batch: 1, keys, kvHeads, headDim: this.#headDim };
    const { layout } = this;
    encodeMeans(call, call.context.limits, {
      k,
      v,
      shape,
      keyRows,
      pages,
      means: this.range,
      layout,
      first: this.#blocks,
      end,
    });
    this.#blocks = Math.max(this.#blocks, end);
  }

  destroy(): void {
    this.#buffer.destroy();
  }
}
