// Worker threads over shared memory. The calling thread works too; then it waits (Node) or spins (a browser's main thread may not wait).
import { HipError } from '@hip/mask-search';
import { Lifeline, type Receive } from './liveness.ts';
import { CONTROL, SPIN, WORKER_SOURCE } from './worker-source.ts';

/** Milliseconds after which a worker that is waited for is asked whether it is still there. */
const PATIENCE = 500;

/** A started worker. */
interface Started {
  readonly thread: number;
  readonly terminate: () => unknown;
  /** Undefined where only the event loop can tell. */
  readonly lifeline?: Lifeline;
}

interface NodeWorkers {
  readonly Worker: new (
    source: string,
    options: object,
  ) => { terminate(): unknown; unref(): void; on(event: string, listener: (value: unknown) => void): unknown };
  readonly receiveMessageOnPort: Receive;
}

/** What the processor does between two looks, where the engine can say so. */
const pause = (Atomics as { pause?: () => void }).pause?.bind(Atomics) ?? ((): void => {});

/** True where shared memory and workers exist. */
export function threadsAvailable(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated;
  return nodeWorkers() !== undefined || (isolated === true && typeof Worker === 'function');
}

function nodeWorkers(): NodeWorkers | undefined {
  if (typeof process !== 'object' || !process.versions?.node) return undefined;
  return process.getBuiltinModule('node:worker_threads') as unknown as NodeWorkers;
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
  /** Why no kernel can run any more. */
  #broken: string | undefined;
  #closed = false;

  constructor({ module, memory, threads, kernels }: PoolOptions) {
    const bytes = (CONTROL.workers + threads) * 4;
    this.#control = new Int32Array(threads > 1 ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
    this.#count = threads - 1;
    this.#kernels = kernels;
    const ready = Array.from({ length: this.#count }, async (_, i) => {
      try {
        await this.#start(i + 1, { module, memory, control: this.#control, thread: i + 1, kernels });
      } catch (cause) {
        const message = `a worker thread did not start (${cause instanceof Error ? cause.message : String(cause)}): give threads: 1, which needs none`;
        throw new HipError('unsupported', message, { threads }, { cause });
      }
    });
    this.#ready = Promise.all(ready);
  }

  #start(thread: number, data: object): Promise<void> {
    const node = nodeWorkers();
    return node ? this.#startInNode(node, thread, data) : this.#startInPage(thread, data);
  }

  #startInNode(node: NodeWorkers, thread: number, data: object): Promise<void> {
    const lifeline = new Lifeline();
    const worker = new node.Worker(WORKER_SOURCE, {
      eval: true,
      workerData: { ...data, life: lifeline.theirs },
      execArgv: [],
      transferList: [lifeline.theirs],
    });
    this.#workers.push({ thread, lifeline, terminate: () => worker.terminate() });
    return new Promise((resolve, reject) => {
      const ended = (cause: unknown): void => {
        reject(cause);
        this.#break(thread, cause instanceof Error ? cause.message : String(cause));
      };
      worker.on('message', () => {
        worker.unref();
        resolve();
      });
      worker.on('error', ended);
      worker.on('exit', (code) => ended(new Error(`exit code ${String(code)}`)));
    });
  }

  #startInPage(thread: number, data: object): Promise<void> {
    const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: 'text/javascript' }));
    const worker = new Worker(url);
    this.#workers.push({ thread, terminate: () => worker.terminate() });
    worker.postMessage(data);
    return new Promise<void>((resolve, reject) => {
      worker.addEventListener('message', () => resolve(), { once: true });
      worker.addEventListener('error', (event) => {
        reject(new Error(event.message));
        this.#break(thread, event.message);
      });
    }).finally(() => URL.revokeObjectURL(url));
  }

  /** Resolves when every worker holds the memory. Nothing may run or grow before. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  /** @throws HipError `internal` when a worker has ended: what it was doing is not done, so nothing goes on in this memory */
  check(): void {
    if (this.#broken === undefined) return;
    throw new HipError('internal', `${this.#broken}: close this runtime and create another with createCpuRuntime()`);
  }

  #break(thread: number, why: string): void {
    if (!this.#closed) this.#broken ??= `worker thread ${thread} has ended (${why})`;
  }

  /**
   * Runs a kernel on the job block at `job` on all threads; `own` is the calling thread's share. Returns when all are done.
   *
   * @param alone the calling thread does not wait for workers that have not begun when nothing is left to do: short jobs
   * @throws HipError `internal` when a worker fails or ends
   */
  run(kernel: string, job: number, own: () => void, alone = false): void {
    if (this.#count === 0) {
      own();
      return;
    }
    this.check();
    const control = this.#control;
    Atomics.store(control, CONTROL.kernel, this.#kernels.indexOf(kernel));
    Atomics.store(control, CONTROL.job, job);
    const generation = (Atomics.add(control, CONTROL.generation, 1) + 1) | 0;
    if (Atomics.load(control, CONTROL.sleeping) > 0) Atomics.notify(control, CONTROL.generation);
    try {
      own();
    } finally {
      if (!this.#doneSoon(generation << 1, alone)) this.#wait(generation << 1);
    }
    this.check();
    if (Atomics.load(control, CONTROL.failed) !== 0) {
      throw new HipError('internal', `a worker thread failed in kernel ${kernel}: create the runtime again`, {
        kernel,
      });
    }
  }

  /** Whether every worker does a generation, or has it taken back, before it pays to sleep. */
  #doneSoon(done: number, alone: boolean): boolean {
    let worker = 0;
    for (const end = performance.now() + SPIN; performance.now() < end;) {
      for (let i = 0; i < 50; i++) {
        while (this.#isDone(CONTROL.workers + worker, done, alone)) if (++worker === this.#count) return true;
        pause();
      }
    }
    // Those that began will end.
    for (; alone && worker < this.#count; worker++) this.#isDone(CONTROL.workers + worker, done, true);
    return false;
  }

  /** Whether a worker's word says done; `alone`: or has not begun, and now will not. */
  #isDone(word: number, done: number, alone: boolean): boolean {
    const control = this.#control;
    const state = Atomics.load(control, word);
    if (state === done) return true;
    if (!alone || state === (done | 1)) return false;
    return Atomics.compareExchange(control, word, state, done) === state;
  }

  /** Until every worker has done a generation, or has ended: those that live still write into the memory. */
  #wait(generation: number): void {
    const control = this.#control;
    const node = nodeWorkers();
    let missing = this.#workers;
    for (;;) {
      const done = Atomics.load(control, CONTROL.done);
      missing = missing.filter(({ thread }) => Atomics.load(control, CONTROL.workers - 1 + thread) !== generation);
      if (missing.length === 0) return;
      if (!node) {
        while (Atomics.load(control, CONTROL.done) === done);
        continue;
      }
      Atomics.store(control, CONTROL.awaited, 1);
      const woken = Atomics.wait(control, CONTROL.done, done, PATIENCE);
      Atomics.store(control, CONTROL.awaited, 0);
      if (woken !== 'timed-out') continue;
      missing = missing.filter(({ thread, lifeline }) => {
        const isAlive = lifeline?.isAlive(node.receiveMessageOnPort) ?? true;
        // It may have done its share before it ended: that is seen at the next call.
        if (!isAlive) this.#break(thread, 'during a call');
        return isAlive;
      });
    }
  }

  /** Ends the workers. */
  close(): void {
    this.#closed = true;
    Atomics.store(this.#control, CONTROL.stop, 1);
    Atomics.add(this.#control, CONTROL.generation, 1);
    Atomics.notify(this.#control, CONTROL.generation);
    for (const { terminate, lifeline } of this.#workers) {
      terminate();
      lifeline?.close();
    }
    this.#workers.length = 0;
  }
}
