// What goes over a queue, checked at both ends: whoever can write to the server can write anything.
import * as v from 'valibot';
import type { SearchProblem } from '../problem.ts';
import { decodeValues, encodeValues } from '../study/values.ts';
import type { IntermediateValues } from '../study/trial.ts';
import type { Evaluation, EvaluationJob } from './evaluator.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const jobSchema = v.object({
  study: v.string(),
  number: count,
  genes: v.array(v.pipe(v.number(), v.finite())),
  seed: v.pipe(v.number(), v.safeInteger()),
  split: v.string(),
  fingerprint: v.string(),
});
const place = { host: v.string(), worker: v.string(), attempts: count };
const milliseconds = v.pipe(v.number(), v.finite(), v.minValue(0));
const evaluationSchema = v.variant('status', [
  v.object({
    status: v.literal('complete'),
    values: v.record(v.string(), v.unknown()),
    startedAt: milliseconds,
    durationMs: milliseconds,
    ...place,
  }),
  v.object({ status: v.literal('failed'), error: v.string(), ...place }),
  v.object({ status: v.literal('stopped'), startedAt: milliseconds, durationMs: milliseconds, ...place }),
]);
const reportSchema = v.object({
  kind: v.literal('report'),
  step: v.pipe(v.number(), v.finite(), v.gtValue(0)),
  values: v.record(v.string(), v.unknown()),
});
const answerSchema = v.object({ step: v.number(), answer: v.picklist(['go-on', 'stop']) });

const reason = (issues: readonly [v.BaseIssue<unknown>, ...unknown[]]): string =>
  `${v.getDotPath(issues[0]) ?? 'itself'}: ${issues[0].message}`.slice(0, 200);

/** A job as a worker reads it, or why it is none. */
export function readJob(data: unknown): EvaluationJob | string {
  const result = v.safeParse(jobSchema, data);
  return result.success ? result.output : `no trial was sent (${reason(result.issues)})`;
}

/** A result as JSON keeps it. */
export function writeEvaluation(evaluation: Evaluation): Evaluation {
  return evaluation.status === 'complete'
    ? { ...evaluation, values: encodeValues(evaluation.values) as Record<string, number> }
    : evaluation;
}

/** A result as the search reads it; one that cannot be is a failed trial that says so. */
export function readEvaluation(problem: SearchProblem, data: unknown): Evaluation {
  const failed = (error: string): Evaluation => ({
    status: 'failed',
    error,
    host: 'unknown',
    worker: 'unknown',
    attempts: 1,
  });
  const result = v.safeParse(evaluationSchema, data);
  if (!result.success) return failed(`no result came back (${reason(result.issues)})`);
  if (result.output.status !== 'complete') return result.output;
  const values = decodeValues(result.output.values);
  const lacking = problem.objectives.find(({ name, kind }) => kind === 'measured' && !Number.isFinite(values[name]));
  if (!lacking) return { ...result.output, values };
  const { host, worker, attempts } = result.output;
  const error = `the worker sent ${String(values[lacking.name]).slice(0, 40)} as ${lacking.name}: a measured objective is a finite number`;
  return { status: 'failed', error, host, worker, attempts };
}

/** A report as JSON keeps it. */
export function encodeReport({ step, values }: IntermediateValues): unknown {
  return { kind: 'report', step, values: encodeValues(values) };
}

/** A report as the search reads it; undefined where it is none. */
export function readReport(data: unknown): IntermediateValues | undefined {
  const result = v.safeParse(reportSchema, data);
  return result.success ? { step: result.output.step, values: decodeValues(result.output.values) } : undefined;
}

/** An answer as the worker reads it; one that cannot be read stops nothing. */
export function readAnswer(text: string): { readonly step: number; readonly answer: 'go-on' | 'stop' } {
  try {
    const result = v.safeParse(answerSchema, JSON.parse(text));
    if (result.success) return result.output;
  } catch {
    // Not JSON: nobody's answer.
  }
  return { step: -1, answer: 'go-on' };
}
