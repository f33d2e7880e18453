// Measures on many machines: jobs go to a BullMQ queue on Redis or Valkey, results come back as its events.
import type { Job } from 'bullmq';
import { SearchError, messageOf } from '../errors.ts';
import { checkNames } from '../nearest.ts';
import type { SearchProblem } from '../problem.ts';
import { problemFingerprint } from '../space.ts';
import type { Evaluation, EvaluationJob, EvaluateOptions, Evaluator } from './evaluator.ts';
import { readEvaluation, readReport } from './queue-messages.ts';
import { queuePackages } from './queue-packages.ts';
import { answersKey, sendAnswer } from './queue-reports.ts';
import { checkServer, openConnections, within, type ConnectionChange } from './redis.ts';

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
  /** Told once when the server goes, and once when it is back; trials wait meanwhile. */
  readonly onConnection?: ((change: ConnectionChange) => void) | undefined;
}

/** What an end may wait for a server that is gone: an abort, then `close`, are over in less than 5 s. */
const ABORT_MS = 1000;
const CLOSE_MS = 1500;

/** One queue per problem: a worker that has another version of it never sees its jobs. */
export function queueName(fingerprint: string): string {
  return `trials-${fingerprint}`;
}

/**
 * Sends trials to whoever runs `instatune worker` on the same Redis. A trial's job carries its genes and seed, so its result does not depend on
 * which worker takes it; a trial whose worker disappears is queued again by the others (see `startWorker`). Jobs are named after study and
 * trial, so a search that was killed and resumed picks up results that arrived meanwhile instead of measuring twice.
 *
 * An abort and `close` end within seconds, whether the server is there or not; what was queued stays there for `resume`.
 *
 * @throws SearchError `queue-unreachable`, `invalid-option` for an address that cannot be one, `missing-package` where bullmq or ioredis
 * is not installed
 */
export async function queueEvaluator(problem: SearchProblem, options: QueueOptions): Promise<Evaluator> {
  checkNames('queueEvaluator', options, ['url', 'concurrency', 'connectTimeoutMs', 'checkEveryMs', 'onConnection']);
  const { url, concurrency = 64, connectTimeoutMs = 10_000, checkEveryMs = 15_000, onConnection } = options;
  await checkServer(url, connectTimeoutMs);
  const { Queue, QueueEvents, Redis } = await queuePackages();
  const name = queueName(problemFingerprint(problem));
  const connections = await openConnections(url, onConnection);
  const settings = { connection: connections.options, prefix: QUEUE_PREFIX };
  const queue = new Queue<EvaluationJob, Evaluation>(name, settings);
  const events = new QueueEvents(name, settings);
  const client = new Redis(url, connections.options);
  client.on('error', () => {});
  // Connection trouble from here on: the client reconnects by itself.
  queue.on('error', () => {});
  events.on('error', () => {});
  queue.setMaxListeners(0);
  events.setMaxListeners(0);
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);

  const send = async (key: string, step: number, answer: 'go-on' | 'stop'): Promise<void> => {
    await sendAnswer(client, key, step, answer).catch(() => {}); // the server is gone: the worker goes on by itself
  };

  /** The end of a job; undefined where none came in time, or the job is gone. */
  const finished = async (job: Job<EvaluationJob, Evaluation>, jobId: string): Promise<Evaluation | undefined> => {
    try {
      return readEvaluation(problem, await job.waitUntilFinished(events, checkEveryMs));
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
    isolated: true,
    async evaluate(
      task: EvaluationJob,
      { signal, onStart, onReport = () => 'go-on' }: EvaluateOptions = {},
    ): Promise<Evaluation> {
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
      const measured = async (): Promise<Evaluation> => {
        let job = await add();
        if (!over) onStart?.();
        for (; ; job = await add()) {
          const result = await finished(job, jobId);
          if (result) return result;
          if (over) throw new SearchError('queue-unreachable', `nobody waits for trial ${task.number} any more`);
        }
      };
      let abort: () => void = () => {};
      const aborted = new Promise<never>((_, reject) => {
        abort = () => reject(signal?.reason);
        signal?.addEventListener('abort', abort, { once: true });
      });
      const answers = answersKey(QUEUE_PREFIX, name, jobId);
      let hear: (message: { jobId: string; data: unknown }) => void = () => {};
      // What takes reports failed: the study cannot be written, or the trial is another's.
      const broken = new Promise<never>((_, reject) => {
        hear = (message) => {
          const report = message.jobId === jobId ? readReport(message.data) : undefined;
          if (!report) return;
          (async () => onReport(report))().then((answer) => send(answers, report.step, answer), reject);
        };
      });
      events.on('progress', hear);
      const result = measured();
      for (const promise of [result, broken]) promise.catch(() => {}); // after an abort nobody waits for it
      try {
        return await Promise.race([result, aborted, broken]);
      } finally {
        over = true;
        events.off('progress', hear);
        signal?.removeEventListener('abort', abort);
        // Done, or aborted before anyone took it; a job that is running stays and its result waits for `resume`.
        await within(ABORT_MS, queue.remove(jobId));
      }
    },
    async close() {
      await within(CLOSE_MS, Promise.allSettled([queue.close(), events.close()]));
      connections.close();
      client.disconnect();
      // Where the server is gone, `close` still waits for it.
      await within(ABORT_MS, Promise.allSettled([queue.disconnect(), events.disconnect()]));
    },
  };
}
