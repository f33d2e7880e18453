// What a pool's thread or process does: loads the problem once, then measures the jobs it is sent.
import { messageOf, SearchError } from '../errors.ts';
import { TrialStopped } from '../problem.ts';
import type { IntermediateValues } from '../study/trial.ts';
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
  | { readonly kind: 'report'; readonly report: IntermediateValues }
  | { readonly kind: 'stopped'; readonly startedAt: number; readonly durationMs: number }
  | { readonly kind: 'error'; readonly error: string };

/** What a member is told while it measures, once for each report. */
export interface ReportAnswer {
  readonly kind: 'answer';
  readonly answer: 'go-on' | 'stop';
}

const isAnswer = (message: EvaluationJob | ReportAnswer): message is ReportAnswer => 'kind' in message;

/** @returns what takes a job, and while it is measured answers to its reports */
export function serve(
  { module, options }: MemberData,
  send: (message: MemberMessage) => void,
): (message: EvaluationJob | ReportAnswer) => Promise<void> {
  const problem = loadProblem(module, options);
  problem.catch((error: unknown) => send({ kind: 'unusable', error: messageOf(error), code: 'problem-module' }));
  const { signal } = new AbortController(); // aborting a member is ending it
  const waiting: ((answer: ReportAnswer['answer']) => void)[] = [];
  const hear = (report: IntermediateValues): Promise<ReportAnswer['answer']> =>
    new Promise((settle) => {
      waiting.push(settle);
      send({ kind: 'report', report });
    });
  return async (job) => {
    if (isAnswer(job)) {
      waiting.shift()?.(job.answer);
      return;
    }
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
    const startedAt = Date.now();
    const start = performance.now();
    try {
      send({ kind: 'started' });
      const values = await measureCandidate(loaded, job, signal, hear);
      send({ kind: 'done', values, startedAt, durationMs: performance.now() - start });
    } catch (error) {
      if (error instanceof TrialStopped) send({ kind: 'stopped', startedAt, durationMs: performance.now() - start });
      else send({ kind: 'error', error: messageOf(error) });
    }
  };
}
