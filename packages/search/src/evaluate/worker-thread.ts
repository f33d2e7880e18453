// Runs inside a worker thread: loads the problem once, then measures the jobs it is sent.
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import type { EvaluationJob } from './evaluator.ts';
import { loadProblem } from './load-problem.ts';
import { checkFingerprint, measureCandidate } from './measure.ts';

/** What the pool sends a thread at birth. */
export interface ThreadData {
  readonly module: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** What a thread answers. `started`: the problem is loaded, the measurement begins. `unusable`: it could not load its problem, or has another one. */
export type ThreadMessage =
  | { readonly kind: 'started' }
  | { readonly kind: 'unusable'; readonly error: string; readonly code: 'problem-module' | 'space-mismatch' }
  | {
      readonly kind: 'done';
      readonly values: Record<string, number>;
      readonly startedAt: number;
      readonly durationMs: number;
    }
  | { readonly kind: 'error'; readonly error: string };

const port = parentPort;
if (port) {
  const send = (message: ThreadMessage) => port.postMessage(message);
  const { module, options } = workerData as ThreadData;
  const problem = loadProblem(module, options);
  problem.catch((error: unknown) => send({ kind: 'unusable', error: messageOf(error), code: 'problem-module' }));
  const { signal } = new AbortController(); // aborting a thread is ending it
  port.on('message', async (job: EvaluationJob) => {
    const loaded = await problem.catch(() => undefined);
    if (!loaded) return;
    try {
      checkFingerprint(loaded, job);
    } catch (error) {
      // No fault of the trial's: it must not count as failed.
      send({ kind: 'unusable', error: messageOf(error), code: 'space-mismatch' });
      return;
    }
    try {
      send({ kind: 'started' });
      const startedAt = Date.now();
      const start = performance.now();
      const values = await measureCandidate(loaded, job, signal);
      send({ kind: 'done', values, startedAt, durationMs: performance.now() - start });
    } catch (error) {
      send({ kind: 'error', error: messageOf(error) });
    }
  });
}
