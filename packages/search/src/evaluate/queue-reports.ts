// Reports of a queue's workers, and the answers to them: through the job's progress one way, through a list of its own the other.
import type { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IntermediateValues } from '../study/trial.ts';
import type { OnReport } from './evaluator.ts';
import { encodeReport, readAnswer } from './queue-messages.ts';

/** What a worker and a search know a job's answers by. */
export function answersKey(prefix: string, queue: string, jobId: string): string {
  return `${prefix}:${queue}:answers:${jobId}`;
}

/** How long answers stay for a worker that does not fetch them. */
const KEEP_SECONDS = 600;

/** How long a worker waits for an answer before it goes on without: the search may be gone, and its results wait for it. */
const PATIENCE_MS = 5000;

/** How often it looks, at first and at most. */
const LOOK_MS = 5;
const MOST_LOOK_MS = 100;

/** Puts an answer where the worker that reported finds it. */
export async function sendAnswer(
  client: Pick<Redis, 'rpush' | 'expire'>,
  key: string,
  step: number,
  answer: 'go-on' | 'stop',
): Promise<void> {
  await client.rpush(key, JSON.stringify({ step, answer }));
  await client.expire(key, KEEP_SECONDS);
}

export interface ReportingOptions {
  readonly client: Pick<Redis, 'lpop'>;
  readonly key: string;
  /** Tells the search. */
  readonly send: (report: unknown) => Promise<void>;
  readonly signal: AbortSignal;
  readonly patienceMs?: number | undefined;
}

/**
 * What a worker does with a report: sends it and waits for the answer. Nobody answers where the search has ended: the measurement goes on, and
 * waits no more until an answer comes.
 */
export function reporting({ client, key, send, signal, patienceMs = PATIENCE_MS }: ReportingOptions): OnReport {
  let isHeard = true;
  return async (report: IntermediateValues) => {
    // A server in trouble is no fault of the trial's: it goes on, and its result waits.
    const told = await send(encodeReport(report)).then(
      () => true,
      () => false,
    );
    const next = (): Promise<string | null> => client.lpop(key).catch(() => null);
    if (!told) return 'go-on';
    const end = performance.now() + (isHeard ? patienceMs : 0);
    for (let pause = LOOK_MS; ; pause = Math.min(MOST_LOOK_MS, 2 * pause)) {
      // Answers to earlier reports that came too late say stop as well as this one's would.
      for (let text = await next(); text !== null; text = await next()) {
        const { step, answer } = readAnswer(text);
        if (answer === 'stop') return 'stop';
        if (step < report.step) continue;
        isHeard = true;
        return 'go-on';
      }
      if (performance.now() >= end || signal.aborted) break;
      await sleep(pause);
    }
    isHeard = false;
    return 'go-on';
  };
}
