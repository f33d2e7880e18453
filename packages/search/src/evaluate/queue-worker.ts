// The other end of the queue: takes trials of one problem and measures them in worker threads of this machine.
import { hostname } from 'node:os';
import type { Job } from 'bullmq';
import { checkNames } from '../nearest.ts';
import { problemFingerprint } from '../space.ts';
import type { Evaluation, EvaluationJob, Evaluator, OnReport } from './evaluator.ts';
import { loadProblem } from './load-problem.ts';
import { POOL_OPTIONS, type PoolOptions } from './pool.ts';
import { processPool } from './process-pool.ts';
import { QUEUE_PREFIX, queueName } from './queue.ts';
import { queuePackages } from './queue-packages.ts';
import { readJob, writeEvaluation } from './queue-messages.ts';
import { answersKey, reporting } from './queue-reports.ts';
import { checkServer, openConnections, within, type ConnectionChange } from './redis.ts';
import { workerPool, type WorkerPoolOptions } from './worker-pool.ts';

export interface QueueWorkerOptions extends WorkerPoolOptions {
  readonly url: string;
  /** A worker that gives no sign of life for this long has lost its trials: another takes them. @defaultValue 30000 */
  readonly lostAfterMs?: number;
  /** How often a trial may be lost with its worker before it counts as failed. @defaultValue 2 */
  readonly maxLost?: number;
  readonly connectTimeoutMs?: number;
  /** Measures in processes instead of threads, each with this much resident memory at most (`processPool`). @defaultValue threads */
  readonly maxRssMb?: number;
  /** Told once when the server goes, and once when it is back. */
  readonly onConnection?: ((change: ConnectionChange) => void) | undefined;
  readonly onTrial?: (trial: {
    readonly number: number;
    readonly study: string;
    readonly status: Evaluation['status'];
    readonly durationMs: number;
  }) => void;
}

export interface QueueWorker {
  readonly queue: string;
  /**
   * Takes no more trials and ends.
   *
   * @param options.giveBack ends the running measurements and queues their trials again, within seconds, instead of finishing them.
   * A later call with it hurries an earlier one without. @defaultValue false
   */
  close(options?: { readonly giveBack?: boolean }): Promise<void>;
}

/** What giving back may wait for a server that is gone: it then notices by itself that this worker is (`lostAfterMs`). */
const GIVE_BACK_MS = 1000;
const CLOSE_MS = 2000;

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
  checkNames('startWorker', options, WORKER_OPTIONS);
  const {
    url,
    lostAfterMs = 30_000,
    maxLost = 2,
    connectTimeoutMs = 10_000,
    maxRssMb,
    onConnection,
    onTrial,
  } = options;
  const { Redis, Worker, WaitingError } = await queuePackages();
  const problem = await loadProblem(String(options.module), options.options);
  const name = queueName(problemFingerprint(problem));
  await problem.dispose?.();
  await checkServer(url, connectTimeoutMs);
  const { threads } = options;
  const pool =
    maxRssMb === undefined
      ? workerPool(memberOptions(options))
      : processPool({ ...poolOptions(options), maxRssMb, ...(threads === undefined ? {} : { processes: threads }) });
  const connections = await openConnections(url, onConnection);
  const stop = new AbortController();
  const answers = new Redis(url, connections.options);
  answers.on('error', () => {});
  const onReport = (job: Job<EvaluationJob, Evaluation>): OnReport =>
    reporting({
      client: answers,
      key: answersKey(QUEUE_PREFIX, name, String(job.id)),
      send: (report) => job.updateProgress(report as object),
      signal: stop.signal,
    });
  const worker = new Worker<EvaluationJob, Evaluation>(
    name,
    async (job, token) => {
      try {
        const evaluation = await measure(pool, job, stop.signal, onReport(job));
        onTrial?.({
          number: job.data.number,
          study: job.data.study,
          status: evaluation.status,
          durationMs: evaluation.status === 'complete' ? evaluation.durationMs : 0,
        });
        return writeEvaluation(evaluation);
      } catch (error) {
        if (!stop.signal.aborted) throw error;
        await within(GIVE_BACK_MS, job.moveToWait(token));
        throw new WaitingError();
      }
    },
    {
      connection: connections.options,
      prefix: QUEUE_PREFIX,
      concurrency: pool.concurrency,
      lockDuration: lostAfterMs,
      stalledInterval: lostAfterMs,
      maxStalledCount: maxLost,
    },
  );
  worker.on('error', () => {}); // connection trouble from here on: the client reconnects by itself
  await worker.waitUntilReady();
  let finishing: Promise<void> | undefined;
  return {
    queue: name,
    async close({ giveBack = false } = {}) {
      finishing ??= worker.close();
      if (giveBack) {
        stop.abort(new Error('the worker ends'));
        await within(CLOSE_MS, finishing);
      } else await Promise.race([finishing, aborted(stop.signal)]);
      connections.close();
      answers.disconnect();
      await within(GIVE_BACK_MS, worker.disconnect());
      await pool.close();
    },
  };
}

/** Names of {@link QueueWorkerOptions}. */
const WORKER_OPTIONS = [
  ...POOL_OPTIONS,
  'threads',
  'maxHeapMb',
  'url',
  'lostAfterMs',
  'maxLost',
  'connectTimeoutMs',
  'maxRssMb',
  'onConnection',
  'onTrial',
];

function poolOptions({ module, options, retries, timeoutMs }: QueueWorkerOptions): PoolOptions {
  return {
    module,
    ...(options === undefined ? {} : { options }),
    ...(retries === undefined ? {} : { retries }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function memberOptions(all: QueueWorkerOptions): WorkerPoolOptions {
  const { threads, maxHeapMb } = all;
  return {
    ...poolOptions(all),
    ...(threads === undefined ? {} : { threads }),
    ...(maxHeapMb === undefined ? {} : { maxHeapMb }),
  };
}

/** Measures what a job asks for; one that asks for nothing of this problem is failed, and says why. */
async function measure(
  pool: Evaluator,
  job: Job<EvaluationJob, Evaluation>,
  signal: AbortSignal,
  onReport: OnReport,
): Promise<Evaluation> {
  const task = readJob(job.data);
  const place = { host: hostname(), worker: String(process.pid) };
  if (typeof task === 'string') return { status: 'failed', error: task, ...place, attempts: 1 };
  const result = await pool.evaluate(task, { signal, onReport });
  return {
    ...result,
    host: place.host,
    worker: `${place.worker} ${result.worker}`,
    // Those of workers that were lost under it.
    attempts: job.stalledCounter + result.attempts,
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((settle) => {
    if (signal.aborted) settle();
    else signal.addEventListener('abort', () => settle(), { once: true });
  });
