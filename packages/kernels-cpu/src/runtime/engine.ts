// The kernels' instance: memory, threads, and running a kernel over its work items.
import { HipError } from '@hip/mask-search';
import { alignBytes, Heap, Scope } from './heap.ts';
import { JOB_BYTES, writeJob, type JobFields } from './job.ts';
import { ThreadPool } from './threads.ts';

export const KERNELS = [
  'append',
  'compactKeys',
  'envelopes',
  'blockMeans',
  'joinMeans',
  'denseAttention',
  'rowAttention',
  'joinRow',
  'sparseAttention',
  'mergeSplits',
  'sparseGradient',
  'stagedSearch',
  'treeSearch',
  'packColumns',
  'packRows',
  'gemm',
  'peak',
  'embed',
  'elements',
  'linearRows',
  'linearTiles',
  'norm',
  'packMatrix',
  'quantize',
  'rotate',
] as const;
export type Kernel = (typeof KERNELS)[number];

/** Work after which an asynchronous call yields: some tens of milliseconds on one core. */
const SLICE_FLOPS = 1e9;

/** Milliseconds of each phase. */
export interface PhaseTimes {
  /** Copying keys and values into pages. */
  append: number;
  /** Mask search, chunk summaries included. */
  search: number;
  attention: number;
}

/** Steps of a call: each `yield` is a point where an asynchronous caller may let others run. Yields the share done so far, 0…1. */
export type Steps<T> = Generator<number, T, void>;

export interface EngineOptions {
  readonly module: WebAssembly.Module;
  readonly simd: 'relaxed' | 'plain';
  readonly threads: number;
  readonly shared: boolean;
}

/**
 * Memory that may grow to 4 GiB, or to the most the engine reserves: phones refuse shared memory of that maximum.
 *
 * @throws HipError `out-of-memory` where it does not even reserve 256 MiB
 */
function reserve(shared: boolean): WebAssembly.Memory {
  for (let maximum = 65536; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: 16, maximum, shared });
    } catch (cause) {
      if (maximum > 4096) continue;
      const fix = 'close runtimes that are not used';
      throw new HipError(
        'out-of-memory',
        `the engine refused ${maximum * 65536} bytes of WebAssembly memory: ${fix}`,
        {},
        { cause },
      );
    }
  }
}

export class Engine {
  readonly threads: number;
  readonly simd: 'relaxed' | 'plain';
  readonly heap: Heap;
  readonly times: PhaseTimes = { append: 0, search: 0, attention: 0 };
  readonly #exports: Record<Kernel, (job: number, thread: number) => void>;
  readonly #pool: ThreadPool;
  #closed = false;

  constructor({ module, simd, threads, shared }: EngineOptions) {
    this.threads = threads;
    this.simd = simd;
    const memory = reserve(shared);
    const { exports } = new WebAssembly.Instance(module, {
      env: {
        memory,
        abort: () => {
          throw new HipError('internal', 'a kernel aborted');
        },
      },
    });
    this.#exports = exports as never;
    this.heap = new Heap(memory, (exports['heapBase'] as () => number)());
    this.#pool = new ThreadPool({ module, memory, threads, kernels: KERNELS });
  }

  async ready(): Promise<void> {
    await this.#pool.ready();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws HipError `internal` after `close`, and when a worker thread has ended */
  checkOpen(): void {
    if (this.#closed) throw new HipError('internal', 'this runtime is closed: create another with createCpuRuntime()');
    this.#pool.check();
  }

  /** A job block of a call's scope, zeroed. */
  job(scope: Scope, fields: JobFields): number {
    const job = scope.allocate(JOB_BYTES);
    this.heap.ints(job, alignBytes(JOB_BYTES) / 4).fill(0);
    writeJob(this.heap.memory, job, fields);
    return job;
  }

  set(job: number, fields: JobFields): void {
    writeJob(this.heap.memory, job, fields);
  }

  /** Runs items [from, end) of a kernel on all threads; a single one on the calling thread, which takes less time than waking others. */
  run(kernel: Kernel, job: number, end: number, from = 0): void {
    this.checkOpen();
    if (end <= from) return;
    writeJob(this.heap.memory, job, { NEXT: from, ITEMS: end });
    if (end - from === 1) {
      this.#exports[kernel](job, 0);
      return;
    }
    this.#pool.run(kernel, job, () => this.#exports[kernel](job, 0));
  }

  /** Runs a short job, whose `job` begins with 0 and `items`: workers that do not begin before all is done are not waited for. */
  runShort(kernel: Kernel, job: number, items: number): void {
    this.checkOpen();
    if (items === 1) this.#exports[kernel](job, 0);
    else this.#pool.run(kernel, job, () => this.#exports[kernel](job, 0), true);
  }

  /** Runs all items of a kernel on the calling thread: what takes less time than waking others. `job` begins with 0 and the items. */
  runHere(kernel: Kernel, job: number): void {
    this.checkOpen();
    this.#exports[kernel](job, 0);
  }

  /** Runs a kernel, `sliced` or in one go, yielding its share done after each slice. */
  *steps(
    phase: keyof PhaseTimes,
    kernel: Kernel,
    job: number,
    items: number,
    flopsPerItem: number,
    sliced: boolean,
  ): Steps<void> {
    const slice = sliced
      ? Math.max(this.threads, Math.ceil((SLICE_FLOPS * this.threads) / Math.max(1, flopsPerItem)))
      : items;
    for (let from = 0; from < items; from += slice) {
      const end = Math.min(items, from + slice);
      const start = performance.now();
      this.run(kernel, job, end, from);
      this.times[phase] += performance.now() - start;
      yield end / items;
    }
  }

  resetTimes(): void {
    this.times.append = this.times.search = this.times.attention = 0;
  }

  close(): void {
    if (!this.#closed) this.#pool.close();
    this.#closed = true;
  }
}
