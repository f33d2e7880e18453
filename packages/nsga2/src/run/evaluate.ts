// Evaluates candidates with a problem: one by one, several at a time, or as a batch; failures as the caller asked.
import type { Candidate, Evolution, Told } from '../engine/evolution.ts';
import { Nsga2Error } from '../errors.ts';
import type { Evaluation, EvaluationResult } from '../problem.ts';

/** What to do when `evaluate` throws: end the run, or count the candidate as failed and go on. */
export type OnEvaluationError = 'throw' | 'fail';

export interface EvaluateOptions {
  readonly concurrency: number;
  readonly onEvaluationError: OnEvaluationError;
  readonly signal: AbortSignal;
  /** Called now and then, so that timers and the signal get their turn in synchronous runs. */
  readonly breathe: () => Promise<void> | undefined;
}

/** Evaluates and tells the candidates. */
export async function evaluateCandidates(
  engine: Evolution,
  candidates: readonly Candidate[],
  options: EvaluateOptions,
): Promise<void> {
  const { problem } = engine;
  if (problem.evaluateBatch) return evaluateBatch(engine, candidates, options);
  if (options.concurrency > 1) return evaluateConcurrently(engine, candidates, options);
  const told: Told[] = [];
  try {
    for (const candidate of candidates) {
      options.signal.throwIfAborted();
      let result: EvaluationResult;
      try {
        const returned = problem.evaluate(candidate.genes, { signal: options.signal, id: candidate.id });
        result = isPromise(returned) ? await returned : returned;
      } catch (error) {
        result = failure(error, options);
      }
      told.push(toTold(candidate.id, result));
      const pause = options.breathe();
      if (pause) await pause;
    }
  } finally {
    // What was evaluated before an abort or an error is kept.
    engine.tell(told);
  }
}

async function evaluateBatch(
  engine: Evolution,
  candidates: readonly Candidate[],
  options: EvaluateOptions,
): Promise<void> {
  const context = { signal: options.signal, ids: candidates.map(({ id }) => id) };
  let results: readonly EvaluationResult[];
  try {
    const returned = engine.problem.evaluateBatch!(
      candidates.map(({ genes }) => genes),
      context,
    );
    results = isPromise(returned) ? await returned : returned;
  } catch (error) {
    results = candidates.map(() => failure(error, options));
  }
  if (results.length !== candidates.length) {
    throw new Nsga2Error(
      'invalid-evaluation',
      `evaluateBatch returned ${results.length} results for ${candidates.length} candidates`,
      { expected: candidates.length, actual: results.length },
    );
  }
  engine.tell(candidates.map(({ id }, index) => toTold(id, results[index]!)));
  const pause = options.breathe();
  if (pause) await pause;
}

async function evaluateConcurrently(
  engine: Evolution,
  candidates: readonly Candidate[],
  options: EvaluateOptions,
): Promise<void> {
  let next = 0;
  let stopped = false;
  const worker = async (): Promise<void> => {
    while (next < candidates.length && !stopped) {
      options.signal.throwIfAborted();
      const candidate = candidates[next++]!;
      let result: EvaluationResult;
      try {
        result = await engine.problem.evaluate(candidate.genes, { signal: options.signal, id: candidate.id });
      } catch (error) {
        stopped ||= options.onEvaluationError === 'throw';
        result = failure(error, options);
      }
      engine.tell(toTold(candidate.id, result));
    }
  };
  const workers = Array.from({ length: Math.min(options.concurrency, candidates.length) }, worker);
  // Every evaluation in flight is waited for before an error is passed on.
  const outcomes = await Promise.allSettled(workers);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function failure(error: unknown, { onEvaluationError, signal }: EvaluateOptions): EvaluationResult {
  if (onEvaluationError === 'throw' || signal.aborted) throw error;
  return { failed: true };
}

function toTold(id: number, result: EvaluationResult): Told {
  if (Array.isArray(result) || ArrayBuffer.isView(result)) return { id, objectives: result as ArrayLike<number> };
  if (result === null || typeof result !== 'object') {
    throw new Nsga2Error('invalid-evaluation', `candidate ${id}: ${String(result)} is not an evaluation`, {
      id,
      result,
    });
  }
  if ('failed' in result) return { id, failed: true };
  return { ...(result as Evaluation), id };
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}
