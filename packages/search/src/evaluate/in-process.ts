// Measures in this process: for problems that hold a device or a model, and for cheap ones.
import { messageOf, SearchError, STUDY_CODES } from '../errors.ts';
import { TrialStopped, type SearchProblem } from '../problem.ts';
import type { Evaluation, EvaluationJob, EvaluateOptions, Evaluator } from './evaluator.ts';
import { measureCandidate } from './measure.ts';

/**
 * @param options.concurrency how many measurements may overlap; more than 1 only where `measure` really waits (I/O). @defaultValue 1
 * @param options.host recorded with every trial. @defaultValue 'local'
 */
export function inProcess(
  problem: SearchProblem,
  options: { readonly concurrency?: number; readonly host?: string } = {},
): Evaluator {
  const host = options.host ?? 'local';
  return {
    concurrency: options.concurrency ?? 1,
    async evaluate(job: EvaluationJob, { signal, onStart, onReport }: EvaluateOptions = {}): Promise<Evaluation> {
      signal?.throwIfAborted();
      onStart?.();
      const startedAt = Date.now();
      const start = performance.now();
      try {
        const values = await measureCandidate(problem, job, signal ?? new AbortController().signal, onReport);
        return {
          status: 'complete',
          values,
          host,
          worker: 'main',
          startedAt,
          durationMs: performance.now() - start,
          attempts: 1,
        };
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        const durationMs = performance.now() - start;
        if (error instanceof TrialStopped)
          return { status: 'stopped', host, worker: 'main', startedAt, durationMs, attempts: 1 };
        // The study could not keep what was reported: no fault of the trial's.
        if (error instanceof SearchError && STUDY_CODES.has(error.code)) throw error;
        return { status: 'failed', error: messageOf(error), host, worker: 'main', attempts: 1 };
      }
    },
    close: () => Promise.resolve(),
  };
}
