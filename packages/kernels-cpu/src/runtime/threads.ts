// Worker threads over shared memory. The calling thread works too; then it waits (Node) or spins (a browser's main thread may not wait).
import { HipError } from '@hip/mask-search';
import { WORKER_SOURCE } from './worker-source.ts';

interface Started {
  terminate(): unknown;
}

interface NodeWorkers {
  readonly Worker: new (
    source: string,
    options: object,
  ) => { terminate(): unknown; unref(): void; once(event: string, listener: (value: unknown) => void): unknown };
}

/** True where shared memory and workers exist. */
export function threadsAvailable(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated;
  return nodeWorkers() !== undefined || (isolated === true && typeof Worker === 'function');
}

function nodeWorkers(): NodeWorkers | undefined {
  if (typeof process !== 'object' || !process.versions?.node) return undefined;
  return process.getBuiltinModule('node:worker_threads');
}

/** How many threads `auto` means: the machine's cores, at most 16. */
export function defaultThreads(): number {
  if (!threadsAvailable()) return 1;
  const cores = nodeWorkers()
    ? process.getBuiltinModule('node:os').availableParallelism()
    : (navigator.hardwareConcurrency ?? 1);
  return Math.max(1, Math.min(16, cores));
}

export interface PoolOptions {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly threads: number;
  readonly kernels: readonly string[];
}

/** The worker threads beside the calling one. */
export class ThreadPool {
  readonly #control: Int32Array;
  readonly #workers: Started[] = [];
  readonly #count: number;
  readonly #kernels: readonly string[];
  readonly #ready: Promise<unknown>;

  constructor({ module, memory, threads, kernels }: PoolOptions) {
    this.#control = new Int32Array(threads > 1 ? new SharedArrayBuffer(8 * 4) : new ArrayBuffer(8 * 4));
    this.#count = threads - 1;
    this.#kernels = kernels;
    const ready = Array.from({ length: this.#count }, async (_, i) => {
      try {
        await this.#start({ module, memory, control: this.#control, thread: i + 1, kernels });
      } catch (cause) {
        const message = `a worker thread did not start (${cause instanceof Error ? cause.message : String(cause)}): give threads: 1, which needs none`;
        throw new HipError('unsupported', message, { threads }, { cause });
      }
    });
    this.#ready = Promise.all(ready);
  }

  #start(data: object): Promise<void> {
    const node = nodeWorkers();
    if (node) {
      const worker = new node.Worker(WORKER_SOURCE, { eval: true, workerData: data, execArgv: [] });
      this.#workers.push(worker);
      return new Promise((resolve, reject) => {
        worker.once('message', () => {
          worker.unref();
          resolve();
        });
        worker.once('error', reject);
      });
    }
    const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: 'text/javascript' }));
    const worker = new Worker(url);
    this.#workers.push(worker);
    worker.postMessage(data);
    return new Promise<void>((resolve, reject) => {
      worker.addEventListener('message', () => resolve(), { once: true });
      worker.addEventListener('error', (event) => reject(new Error(event.message)), { once: true });
    }).finally(() => URL.revokeObjectURL(url));
  }

  /** Resolves when every worker holds the memory. Nothing may run or grow before. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  /** Runs a kernel on the job block at `job` on all threads; `own` is the calling thread's share. Returns when all are done. */
  run(kernel: string, job: number, own: () => void): void {
    const control = this.#control;
    const index = this.#kernels.indexOf(kernel);
    if (this.#count === 0) {
      own();
      return;
    }
    Atomics.store(control, 1, 0);
    Atomics.store(control, 2, index);
    Atomics.store(control, 5, job);
    Atomics.add(control, 0, 1);
    Atomics.notify(control, 0);
    try {
      own();
    } finally {
      const mayWait = nodeWorkers() !== undefined;
      for (let done = Atomics.load(control, 1); done < this.#count; done = Atomics.load(control, 1)) {
        if (mayWait) Atomics.wait(control, 1, done, 1000);
      }
    }
    if (Atomics.load(control, 4) !== 0) {
      throw new HipError('internal', `a worker thread failed in kernel ${kernel}: create the runtime again`, {
        kernel,
      });
    }
  }

  /** Ends the workers. */
  close(): void {
    Atomics.store(this.#control, 3, 1);
    Atomics.add(this.#control, 0, 1);
    Atomics.notify(this.#control, 0);
    for (const worker of this.#workers) worker.terminate();
    this.#workers.length = 0;
  }
}
