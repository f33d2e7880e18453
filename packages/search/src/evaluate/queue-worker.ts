// The other end of the queue: takes trials of one problem and measures them in worker threads of this machine.
import { hostname } from 'node:os';
import type { Evaluation, EvaluationJob } from './evaluator.ts';
import { queuePackages } from './queue-packages.ts';
import { loadProblem } from './load-problem.ts';
import { QUEUE_PREFIX, checkServer, connection, queueName } from './queue.ts';
import { problemFingerprint } from '../space.ts';
import { encodeValues } from '../study/values.ts';
import { workerPool, type WorkerPoolOptions } from './worker-pool.ts';

export interface QueueWorkerOptions extends WorkerPoolOptions {
  readonly url: string;
  /** A worker that gives no sign of life for this long has lost its trials: another takes them. @defaultValue 30000 */
  readonly lostAfterMs?: number;
  /** How often a trial may be lost with its worker before it counts as failed. @defaultValue 2 */
  readonly maxLost?: number;
  readonly connectTimeoutMs?: number;
  readonly onTrial?: (trial: {
    readonly number: number;
    readonly study: string;
    readonly status: Evaluation['status'];
    readonly durationMs: number;
  }) => void;
}

export interface QueueWorker {
  readonly queue: string;
  /** Finishes the running trials, takes no more. */
  close(): Promise<void>;
}

/**
 * Serves a problem's queue until closed. Measuring happens in threads, so that this process keeps telling Redis it is alive while they compute.
 *
 * @example
 * await using stack = new AsyncDisposableStack();
 * const worker = await startWorker({ url: 'redis://queue.local', module: './my-problem.ts', threads: 4 });
 * stack.defer(() => worker.close());
 * @throws SearchError `problem-module`, `queue-unreachable`, `missing-package` where bullmq or ioredis is not installed
 */
export async function startWorker(options: QueueWorkerOptions): Promise<QueueWorker> {
  const { url, lostAfterMs = 30_000, maxLost = 2, connectTimeoutMs = 10_000, onTrial } = options;
  const { Worker } = await queuePackages();
  const problem = await loadProblem(options.module, options.options);
  const name = queueName(problemFingerprint(problem));
  await problem.dispose?.();
  await checkServer(url, connectTimeoutMs);
  const pool = workerPool(options);
  const worker = new Worker<EvaluationJob, Evaluation>(
    name,
    async (job) => {
      const result = await pool.evaluate(job.data);
      const evaluation: Evaluation = {
        ...result,
        host: hostname(),
        worker: `${process.pid} ${result.worker}`,
        attempts: Math.max(job.attemptsStarted, 1) - 1 + result.attempts,
      };
      onTrial?.({
        number: job.data.number,
        study: job.data.study,
        status: evaluation.status,
        durationMs: evaluation.status === 'complete' ? evaluation.durationMs : 0,
      });
      // BullMQ keeps results as JSON.
      return evaluation.status === 'complete'
        ? { ...evaluation, values: encodeValues(evaluation.values) as Record<string, number> }
        : evaluation;
    },
    {
      connection: connection(url),
      prefix: QUEUE_PREFIX,
      concurrency: pool.concurrency,
      lockDuration: lostAfterMs,
      stalledInterval: lostAfterMs,
      maxStalledCount: maxLost,
    },
  );
  worker.on('error', () => {}); // connection trouble from here on: the client reconnects by itself
  await worker.waitUntilReady();
  return {
    queue: name,
    async close() {
      await worker.close();
      await pool.close();
    },
  };
}
