// Evaluates candidates with a problem: one by one, several at a time, or as a batch; failures as the caller asked.
import type { Evolution } from '../engine/evolution.ts';
import type { Candidate, Told } from '../engine/slots.ts';
import { Nsga2Error } from '../errors.ts';
import {
  checkEvaluation,
  type Evaluation,
  type EvaluationResult,
  type FailedEvaluation,
  type Problem,
} from '../problem.ts';

/**
 * What to do when a candidate has no value (`evaluate` throws, or an objective or constraint of it is not finite): end the
 * run, or count the candidate as failed and go on.
 */
export type OnEvaluationError = 'throw' | 'fail';

export interface EvaluateOptions {
  readonly concurrency: number;
  readonly onEvaluationError: OnEvaluationError;
  readonly signal: AbortSignal;
  /** Called now and then, so that timers and the signal get their turn in synchronous runs. */
  readonly breathe: () => Promise<void> | undefined;
}

/**
 * Evaluates and tells the candidates. What was evaluated before an abort or an error is told.
 *
 * @throws Nsga2Error `evaluation-failed` with what `evaluate` threw as its cause; `invalid-evaluation` for what it returned
 */
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
        result = failure(error, `candidate ${candidate.id}`, options);
      }
      told.push(checked(problem, candidate.id, result, options));
      const pause = options.breathe();
      if (pause) await pause;
    }
  } finally {
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
    const failed = failure(error, 'the batch', options);
    results = candidates.map(() => failed);
  }
  if (results?.length !== candidates.length) {
    throw new Nsga2Error(
      'invalid-evaluation',
      `evaluateBatch returned ${results?.length ?? 'no'} results for ${candidates.length} candidates`,
      { expected: candidates.length, actual: results?.length },
    );
  }
  const told: Told[] = [];
  let wrong: unknown;
  candidates.forEach(({ id }, index) => {
    try {
      told.push(checked(engine.problem, id, results[index]!, options));
    } catch (error) {
      wrong ??= error;
    }
  });
  engine.tell(told);
  if (wrong !== undefined) throw wrong;
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
      try {
        let result: EvaluationResult;
        try {
          result = await engine.problem.evaluate(candidate.genes, { signal: options.signal, id: candidate.id });
        } catch (error) {
          result = failure(error, `candidate ${candidate.id}`, options);
        }
        engine.tell(checked(engine.problem, candidate.id, result, options));
      } catch (error) {
        stopped = true;
        throw error;
      }
    }
  };
  const workers = Array.from({ length: Math.min(options.concurrency, candidates.length) }, worker);
  // Every evaluation in flight is waited for before an error is passed on.
  const outcomes = await Promise.allSettled(workers);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** A failed evaluation, where that is what becomes of errors. @throws Nsga2Error `evaluation-failed`, or the error itself after an abort */
function failure(error: unknown, what: string, { onEvaluationError, signal }: EvaluateOptions): EvaluationResult {
  if (signal.aborted) throw error;
  if (onEvaluationError === 'fail') return { failed: true };
  const message = error instanceof Error ? error.message : String(error);
  throw new Nsga2Error('evaluation-failed', `${what}: ${message}`, {}, { cause: error });
}

/** The outcome as it is told. @throws Nsga2Error `invalid-evaluation`, unless a value that is not finite counts as failed */
function checked(problem: Problem, id: number, result: EvaluationResult, options: EvaluateOptions): Told {
  try {
    checkEvaluation(problem, result, id);
  } catch (error) {
    const valueless = error instanceof Nsga2Error && 'value' in error.details;
    if (valueless && options.onEvaluationError === 'fail') return { id, failed: true };
    throw error;
  }
  if (Array.isArray(result) || ArrayBuffer.isView(result)) return { id, objectives: result as ArrayLike<number> };
  return { ...(result as Evaluation | FailedEvaluation), id };
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}
