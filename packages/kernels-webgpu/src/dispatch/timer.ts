// GPU time of passes by timestamp queries.
import { HipError } from '@hip/mask-search';
import type { GpuContext } from './context.ts';
import { createBuffer } from './pool.ts';
import { readBytes } from './tensor.ts';

/** GPU time of one pass. */
export interface PassTime {
  readonly label: string;
  readonly milliseconds: number;
}

/** Collects timestamps of the passes of one submit after another until {@link Timer.read}. */
export class Timer {
  readonly #context: GpuContext;
  readonly #capacity: number;
  readonly #queries: GPUQuerySet;
  readonly #buffer: GPUBuffer;
  #labels: string[] = [];

  /**
   * @param passes that can be timed between two reads; later ones are not timed
   * @throws HipError `unsupported` without the feature `timestamp-query`
   */
  constructor(context: GpuContext, passes = 256) {
    if (!context.profile.timestamps)
      throw new HipError(
        'unsupported',
        'the device was requested without timestamp-query: request it, or measure wall time',
        { feature: 'timestamp-query' },
      );
    this.#context = context;
    this.#capacity = passes;
    this.#queries = context.device.createQuerySet({ type: 'timestamp', count: 2 * passes });
    this.#buffer = createBuffer(context, 16 * passes, 0x0200 | 0x0004, 'timestamps'); // QUERY_RESOLVE | COPY_SRC
  }

  /** Reserves the two timestamps of a pass. */
  next(label: string): GPUComputePassTimestampWrites | undefined {
    const index = this.#labels.length;
    if (index >= this.#capacity) return undefined;
    this.#labels.push(label);
    return { querySet: this.#queries, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 };
  }

  /** Called by a submit before its command buffer ends. */
  resolve(encoder: GPUCommandEncoder): void {
    if (this.#labels.length > 0) encoder.resolveQuerySet(this.#queries, 0, 2 * this.#labels.length, this.#buffer, 0);
  }

  /** Waits for the GPU; returns the passes since the last read, in order, and starts over. */
  async read(): Promise<PassTime[]> {
    const labels = this.#labels;
    this.#labels = [];
    if (labels.length === 0) return [];
    const ticks = new BigUint64Array(await readBytes(this.#context, this.#buffer, 0, 16 * labels.length));
    return labels.map((label, i) => ({ label, milliseconds: Number(ticks[2 * i + 1]! - ticks[2 * i]!) / 1e6 }));
  }

  destroy(): void {
    this.#queries.destroy();
    this.#buffer.destroy();
  }
}
