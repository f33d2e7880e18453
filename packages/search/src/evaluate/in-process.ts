// Measures in this process: for problems that hold a device or a model, and for cheap ones.
import { messageOf } from '../errors.ts';
import type { SearchProblem } from '../problem.ts';
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
    async evaluate(job: EvaluationJob, { signal, onStart }: EvaluateOptions = {}): Promise<Evaluation> {
      signal?.throwIfAborted();
      onStart?.();
      const startedAt = Date.now();
      const start = performance.now();
      try {
        const values = await measureCandidate(problem, job, signal ?? new AbortController().signal);
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
        return { status: 'failed', error: messageOf(error), host, worker: 'main', attempts: 1 };
      }
    },
    close: () => Promise.resolve(),
  };
}
