// Measures in worker threads of this machine.
import { Worker } from 'node:worker_threads';
import { checkNames } from '../nearest.ts';
import type { Evaluator } from './evaluator.ts';
import type { MemberMessage } from './member.ts';
import {
  checkOption,
  createPool,
  memberCount,
  memberFile,
  POOL_OPTIONS,
  type Member,
  type MemberEvent,
  type PoolOptions,
} from './pool.ts';

export interface WorkerPoolOptions extends PoolOptions {
  /** @defaultValue the machine's parallelism */
  readonly threads?: number;
  /**
   * Heap limit of a thread: what V8 keeps of JavaScript objects. Typed arrays, WebAssembly memory and native tensors lie outside of it and
   * count for the whole process, whose end is this process's end: measure what needs much of these in `processPool`.
   * @defaultValue V8's
   */
  readonly maxHeapMb?: number;
}

/** With less, V8 ends the whole process while it starts the thread. */
const LEAST_HEAP_MB = 16;

/**
 * Measures in worker threads of this machine. A thread that dies (process.exit, uncaught error, out of memory, time-out) costs its trial one attempt;
 * after the last one the trial is `failed` with that error. A measurement that throws is `failed` at once. What ends the process (the
 * kernel's killer of the largest, `process.kill`, a crash of native code) ends the search: `processPool` holds that.
 *
 * A thread runs a file of this package: when bundling an app for Node, keep `@instatune/search` external (esbuild: `--external:@instatune/search`).
 *
 * @example
 * const evaluator = workerPool({ module: './my-problem.ts', threads: 4 });
 * await runSearch(problem, { tactic: 'linas', evaluations: 250, evaluator });
 * @throws SearchError `invalid-option`
 */
export function workerPool(options: WorkerPoolOptions): Evaluator {
  checkNames('workerPool', options, [...POOL_OPTIONS, 'threads', 'maxHeapMb']);
  const { maxHeapMb } = options;
  const count = memberCount('threads', options.threads);
  const isHeap = (value: number) => value >= LEAST_HEAP_MB && value < Infinity;
  checkOption('maxHeapMb', maxHeapMb, isHeap, `${LEAST_HEAP_MB} MB or more`);
  const file = memberFile('worker-thread', 'thread');
  const start = (workerData: unknown): Member => {
    const worker = new Worker(file, {
      workerData,
      ...(maxHeapMb === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: maxHeapMb } }),
    });
    let isAlive = true;
    let tell: ((event: MemberEvent) => void) | undefined;
    worker.on('message', (message: MemberMessage) => tell?.({ kind: 'message', message }));
    worker.on('messageerror', ({ message: error }: Error) =>
      tell?.({ kind: 'message', message: { kind: 'error', error } }),
    );
    worker.on('error', (error: unknown) => {
      isAlive = false;
      tell?.({ kind: 'crash', error: error instanceof Error ? error.message : String(error) });
    });
    worker.on('exit', (code: number) => {
      isAlive = false;
      tell?.({ kind: 'crash', error: `worker thread exited with code ${code}` });
    });
    worker.unref();
    return {
      get isAlive() {
        return isAlive;
      },
      post: (job) => worker.postMessage(job),
      listen: (listener) => (tell = listener),
      end: async () => {
        await worker.terminate();
      },
    };
  };
  return createPool({ noun: 'thread', count, isolated: false, start }, options);
}
