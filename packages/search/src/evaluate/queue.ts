// Measures on many machines: jobs go to a BullMQ queue on Redis or Valkey, results come back as its events.
import type { Job } from 'bullmq';
import { SearchError, messageOf } from '../errors.ts';
import { queuePackages } from './queue-packages.ts';
import type { SearchProblem } from '../problem.ts';
import { problemFingerprint } from '../space.ts';
import { decodeValues } from '../study/values.ts';
import type { Evaluation, EvaluationJob, EvaluateOptions, Evaluator } from './evaluator.ts';

/** Keys of all queues start with this. */
export const QUEUE_PREFIX = 'instatune';

/** Results whose search never came back are dropped after a week. */
const KEEP_SECONDS = 7 * 24 * 3600;

export interface QueueOptions {
  /** `redis://[user:password@]host:port[/db]`, or `rediss:` for TLS; Valkey speaks the same. */
  readonly url: string;
  /** How many trials to have queued or running at once: at least the number of workers. @defaultValue 64 */
  readonly concurrency?: number;
  /** Give up if the server does not answer within this time. @defaultValue 10000 */
  readonly connectTimeoutMs?: number;
  /** How often a trial is looked for that the server may have lost (restarted without a disk, flushed): it is queued again. @defaultValue 15000 */
  readonly checkEveryMs?: number;
}

/** One queue per problem: a worker that has another version of it never sees its jobs. */
export function queueName(fingerprint: string): string {
  return `trials-${fingerprint}`;
}

/** Connection settings as BullMQ wants them: blocking commands wait as long as it takes. */
export function connection(url: string): { url: string; maxRetriesPerRequest: null } {
  return { url, maxRetriesPerRequest: null };
}

/**
 * Says hello to the server, so that a wrong address or password is an error now instead of endless reconnecting.
 *
 * @throws SearchError `queue-unreachable`, `missing-package`
 */
export async function checkServer(url: string, timeoutMs: number): Promise<void> {
  const { Redis } = await queuePackages();
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let cause: unknown;
  client.on('error', (error: Error) => {
    cause = error;
  });
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    const host = url.replace(/\/\/[^@/]*@/, '//');
    throw new SearchError(
      'queue-unreachable',
      `no Redis at ${host} (${messageOf(cause ?? error)}): start redis-server or valkey-server there`,
      { url: host },
      { cause: error },
    );
  } finally {
    client.disconnect();
  }
}

/**
 * Sends trials to whoever runs `instatune worker` on the same Redis. A trial's job carries its genes and seed, so its result does not depend on
 * which worker takes it; a trial whose worker disappears is queued again by the others (see `startWorker`). Jobs are named after study and
 * trial, so a search that was killed and resumed picks up results that arrived meanwhile instead of measuring twice.
 *
 * @throws SearchError `queue-unreachable`, `missing-package` where bullmq or ioredis is not installed
 */
export async function queueEvaluator(problem: SearchProblem, options: QueueOptions): Promise<Evaluator> {
  const { url, concurrency = 64, connectTimeoutMs = 10_000, checkEveryMs = 15_000 } = options;
  await checkServer(url, connectTimeoutMs);
  const { Queue, QueueEvents } = await queuePackages();
  const name = queueName(problemFingerprint(problem));
  const settings = { connection: connection(url), prefix: QUEUE_PREFIX };
  const queue = new Queue<EvaluationJob, Evaluation>(name, settings);
  const events = new QueueEvents(name, settings);
  // Connection trouble from here on: the client reconnects by itself.
  queue.on('error', () => {});
  events.on('error', () => {});
  events.setMaxListeners(0);
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);

  /** The end of a job; undefined where none came in time, or the job is gone. */
  const finished = async (job: Job<EvaluationJob, Evaluation>, jobId: string): Promise<Evaluation | undefined> => {
    try {
      const result = (await job.waitUntilFinished(events, checkEveryMs)) as Evaluation;
      return result?.status === 'complete' ? { ...result, values: decodeValues(result.values) } : result;
    } catch (error) {
      // Only a job that was lost with its workers too often ends as failed: measurements that throw come back as values.
      if ((await queue.getJobState(jobId)) !== 'failed') return undefined;
      return {
        status: 'failed',
        error: messageOf(error),
        host: 'unknown',
        worker: 'unknown',
        attempts: job.attemptsStarted || 1,
      };
    }
  };

  return {
    concurrency,
    async evaluate(task: EvaluationJob, { signal, onStart }: EvaluateOptions = {}): Promise<Evaluation> {
      signal?.throwIfAborted();
      // BullMQ allows no colon in a name.
      const jobId = `${task.study}-${task.number}-${encodeURIComponent(task.split)}`;
      // Adds nothing where a job of this name is there already.
      const add = () =>
        queue.add('trial', task, {
          jobId,
          attempts: 1,
          removeOnComplete: { age: KEEP_SECONDS },
          removeOnFail: { age: KEEP_SECONDS },
        });
      let over = false;
      const measured = async (first: Job<EvaluationJob, Evaluation>): Promise<Evaluation> => {
        for (let job = first; ; job = await add()) {
          const result = await finished(job, jobId);
          if (result) return result;
          if (over) throw new SearchError('queue-unreachable', `nobody waits for trial ${task.number} any more`);
        }
      };
      const job = await add();
      onStart?.();
      let abort: () => void = () => {};
      const aborted = new Promise<never>((_, reject) => {
        abort = () => reject(signal?.reason);
        signal?.addEventListener('abort', abort, { once: true });
      });
      try {
        return await Promise.race([measured(job), aborted]);
      } finally {
        over = true;
        signal?.removeEventListener('abort', abort);
        // Done, or aborted before anyone took it; a job that is running stays and its result waits for `resume`.
        await queue.remove(jobId).catch(() => 0);
      }
    },
    async close() {
      await Promise.allSettled([queue.close(), events.close()]);
    },
  };
}
