// A pool of worker threads. Own code over node:worker_threads because tinypool leaves a task unsettled when its worker calls process.exit.
import { existsSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { Worker } from 'node:worker_threads';
import { SearchError } from '../errors.ts';
import type { Evaluation, EvaluationJob, EvaluateOptions, Evaluator } from './evaluator.ts';
import { problemSpecifier } from './load-problem.ts';
import type { ThreadData, ThreadMessage } from './worker-thread.ts';

export interface WorkerPoolOptions {
  /** The module that exports `problem` or `createProblem`, or a built-in problem's name. Each thread loads it once. */
  readonly module: string;
  /** Handed to the module's `createProblem`; must survive structured cloning. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** @defaultValue the machine's parallelism */
  readonly threads?: number;
  /** How often a trial is tried again after its worker died under it. @defaultValue 1 */
  readonly retries?: number;
  /** A measurement (loading the problem not counted) longer than this ends its worker and counts as a crash. @defaultValue none */
  readonly timeoutMs?: number;
  /** Heap limit of a thread; beyond it the thread dies, not the process. @defaultValue V8's */
  readonly maxHeapMb?: number;
}

/** Beside this file: .ts in the source tree, .mjs once built. @throws SearchError `invalid-option` in an app's bundle, where it was left behind */
function threadFile(): URL {
  const here: string | undefined = import.meta.url; // undefined in some CommonJS bundles
  const file = here && new URL(here.endsWith('.ts') ? './worker-thread.ts' : './worker-thread.mjs', here);
  if (file && existsSync(file)) return file;
  throw new SearchError(
    'invalid-option',
    `no file of the worker thread at ${file || 'worker-thread.mjs'}: keep @instatune/search external when bundling for Node (esbuild: --external:@instatune/search), so that the threads find it in node_modules`,
    { file: file ? file.href : undefined },
  );
}

/** What setTimeout can wait for; beyond it, it fires at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** With less, V8 ends the whole process while it starts the thread. */
const LEAST_HEAP_MB = 16;

type Ending =
  | { readonly kind: 'crash'; readonly error: string }
  | { readonly kind: 'aborted' }
  | Exclude<ThreadMessage, { kind: 'started' }>;

/** One place in the pool: a thread that is replaced when it dies. */
class Slot {
  readonly id: number;
  readonly #file: URL;
  readonly #data: ThreadData;
  readonly #heapMb: number | undefined;
  #worker: Worker | undefined;

  constructor(id: number, file: URL, data: ThreadData, heapMb: number | undefined) {
    this.id = id;
    this.#file = file;
    this.#data = data;
    this.#heapMb = heapMb;
  }

  /** Sends one job and waits for its end, whatever that is. */
  async run(job: EvaluationJob, timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<Ending> {
    const worker = (this.#worker ??= this.#spawn());
    const cleanup: (() => void)[] = [];
    const ending = await new Promise<Ending>((settle) => {
      const on = <T>(event: 'message' | 'error' | 'exit' | 'messageerror', listener: (value: T) => void) => {
        worker.on(event, listener);
        cleanup.push(() => worker.off(event, listener));
      };
      on<ThreadMessage>('message', (message) => {
        if (message.kind !== 'started') settle(message);
        else if (timeoutMs !== undefined) {
          const timer = setTimeout(
            () => settle({ kind: 'crash', error: `took longer than ${timeoutMs} ms` }),
            timeoutMs,
          );
          cleanup.push(() => clearTimeout(timer));
        }
      });
      on<Error>('messageerror', (error) => settle({ kind: 'error', error: error.message }));
      on<Error>('error', (error) => settle({ kind: 'crash', error: error.message }));
      on<number>('exit', (code) => settle({ kind: 'crash', error: `worker thread exited with code ${code}` }));
      const abort = () => settle({ kind: 'aborted' });
      signal?.addEventListener('abort', abort, { once: true });
      cleanup.push(() => signal?.removeEventListener('abort', abort));
      if (signal?.aborted) abort();
      else worker.postMessage(job);
    });
    for (const clean of cleanup) clean();
    if (ending.kind !== 'done' && ending.kind !== 'error') await this.close();
    return ending;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #spawn(): Worker {
    const worker = new Worker(this.#file, {
      workerData: this.#data,
      ...(this.#heapMb === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: this.#heapMb } }),
    });
    worker.on('error', () => {}); // a death between jobs: noticed by 'exit' below
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    worker.unref();
    return worker;
  }
}

/**
 * Measures in worker threads of this machine. A thread that dies (process.exit, uncaught error, out of memory, time-out) costs its trial one attempt;
 * after the last one the trial is `failed` with that error. A measurement that throws is `failed` at once.
 *
 * A thread runs a file of this package: when bundling an app for Node, keep `@instatune/search` external (esbuild: `--external:@instatune/search`).
 *
 * @example
 * const evaluator = workerPool({ module: './my-problem.ts', threads: 4 });
 * await runSearch(problem, { tactic: 'linas', evaluations: 250, evaluator });
 * @throws SearchError `invalid-option`
 */
export function workerPool(options: WorkerPoolOptions): Evaluator {
  const { threads = availableParallelism(), retries = 1, timeoutMs, maxHeapMb } = options;
  if (!Number.isInteger(threads) || threads < 1)
    throw new SearchError('invalid-option', `threads is ${threads}: use a whole number ≥ 1`, { threads });
  const check = (name: string, value: number | undefined, valid: (value: number) => boolean, use: string) => {
    if (value === undefined || valid(value)) return;
    throw new SearchError('invalid-option', `${name} is ${value}: use ${use}`, { [name]: value });
  };
  check('retries', retries, (value) => Number.isInteger(value) && value >= 0, 'a whole number ≥ 0');
  check(
    'timeoutMs',
    timeoutMs,
    (value) => value > 0 && value <= LONGEST_TIMEOUT,
    `milliseconds from 1 to ${LONGEST_TIMEOUT} (24 days), or leave it out`,
  );
  check('maxHeapMb', maxHeapMb, (value) => value >= LEAST_HEAP_MB && value < Infinity, `${LEAST_HEAP_MB} MB or more`);
  const data: ThreadData = { module: problemSpecifier(options.module), options: options.options ?? {} };
  const file = threadFile();
  const slots = Array.from({ length: threads }, (_, id) => new Slot(id, file, data, maxHeapMb));
  const free = [...slots];
  const waiting: ((slot: Slot) => void)[] = [];
  const host = hostname();

  const acquire = () => {
    const slot = free.shift();
    return slot ? Promise.resolve(slot) : new Promise<Slot>((resolve) => waiting.push(resolve));
  };
  const release = (slot: Slot) => {
    const next = waiting.shift();
    if (next) next(slot);
    else free.push(slot);
  };

  return {
    concurrency: threads,
    async evaluate(job: EvaluationJob, { signal, onStart }: EvaluateOptions = {}): Promise<Evaluation> {
      const slot = await acquire();
      const worker = `thread ${slot.id}`;
      // A pending message keeps no unreferenced worker alive: hold the process until the job ends.
      const hold = setInterval(() => {}, 2 ** 30);
      try {
        signal?.throwIfAborted();
        onStart?.();
        for (let attempts = 1; ; attempts++) {
          const ending = await slot.run(job, timeoutMs, signal);
          if (ending.kind === 'done') {
            const { values, startedAt, durationMs } = ending;
            return { status: 'complete', values, host, worker, startedAt, durationMs, attempts };
          }
          if (ending.kind === 'aborted') throw signal?.reason;
          if (ending.kind === 'unusable') throw new SearchError(ending.code, ending.error, { module: data.module });
          if (ending.kind === 'error') return { status: 'failed', error: ending.error, host, worker, attempts };
          if (attempts > retries)
            return { status: 'failed', error: `${ending.error} (${attempts} attempts)`, host, worker, attempts };
        }
      } finally {
        clearInterval(hold);
        release(slot);
      }
    },
    async close() {
      await Promise.all(slots.map((slot) => slot.close()));
    },
  };
}
