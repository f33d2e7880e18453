// What a pool's thread or process does: loads the problem once, then measures the jobs it is sent.
import { messageOf, SearchError } from '../errors.ts';
import type { EvaluationJob } from './evaluator.ts';
import { loadProblem } from './load-problem.ts';
import { checkJob, measureCandidate } from './measure.ts';

/** What a member is told at birth. */
export interface MemberData {
  readonly module: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** What a member answers. `started`: the problem is loaded, the measurement begins. `unusable`: it could not load its problem, or has another one. */
export type MemberMessage =
  | { readonly kind: 'started' }
  | { readonly kind: 'unusable'; readonly error: string; readonly code: 'problem-module' | 'space-mismatch' }
  | {
      readonly kind: 'done';
      readonly values: Record<string, number>;
      readonly startedAt: number;
      readonly durationMs: number;
    }
  | { readonly kind: 'error'; readonly error: string };

/** @returns what takes a job */
export function serve(
  { module, options }: MemberData,
  send: (message: MemberMessage) => void,
): (job: EvaluationJob) => Promise<void> {
  const problem = loadProblem(module, options);
  problem.catch((error: unknown) => send({ kind: 'unusable', error: messageOf(error), code: 'problem-module' }));
  const { signal } = new AbortController(); // aborting a member is ending it
  return async (job) => {
    const loaded = await problem.catch(() => undefined);
    if (!loaded) return;
    try {
      checkJob(loaded, job);
    } catch (error) {
      // Another problem is no fault of the trial's: it must not count as failed.
      const isOther = error instanceof SearchError && error.code === 'space-mismatch';
      if (isOther) send({ kind: 'unusable', error: error.message, code: 'space-mismatch' });
      else send({ kind: 'error', error: messageOf(error) });
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
  };
}
