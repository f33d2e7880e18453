// One measurement of one candidate by the problem itself, checked.
import { SearchError } from '../errors.ts';
import { checkGenes, genesOf } from '../genes.ts';
import { constraintValueName } from '../given/constraint-values.ts';
import { nearest } from '../nearest.ts';
import { TrialStopped, type MeasureContext, type SearchProblem } from '../problem.ts';
import { problemFingerprint } from '../space.ts';
import type { IntermediateValues } from '../study/trial.ts';
import { keepableValues } from '../study/values.ts';
import type { EvaluationJob } from './evaluator.ts';

/** Takes a report; whether the measurement is to end. */
export type Hear = (report: IntermediateValues) => 'go-on' | 'stop' | Promise<'go-on' | 'stop'>;

/** `report` of a measurement: checked, in order. @throws SearchError `measurement-failed` on a step or value that cannot be */
function reporting(problem: SearchProblem, number: number, hear: Hear): MeasureContext['report'] {
  let last = 0;
  let stopped: TrialStopped | undefined;
  return async (step, values) => {
    if (stopped) throw stopped;
    if (!(Number.isFinite(step) && step > last)) {
      throw new SearchError(
        'measurement-failed',
        `trial ${number} reported step ${String(step)} after ${last}: report rising numbers above 0`,
        { number, step, last },
      );
    }
    last = step;
    checkReport(problem, values, `trial ${number}, step ${step}`);
    const kept = keepableValues(values, `trial ${number}, step ${step}`);
    if ((await hear({ step, values: kept })) === 'go-on') return;
    stopped = new TrialStopped(step);
    throw stopped;
  };
}

/** @throws SearchError `measurement-failed` for an objective that is no number, or whose name is not quite one: it would never stop a trial */
function checkReport({ objectives }: SearchProblem, values: Readonly<Record<string, unknown>>, where: string): void {
  const measured = objectives.filter(({ kind }) => kind === 'measured').map(({ name }) => name);
  // What is reported beside an objective may be called much like another.
  const missing = measured.some((name) => Object.hasOwn(values, name)) ? [] : measured;
  for (const [name, value] of Object.entries(values)) {
    const isObjective = measured.includes(name);
    const meant = isObjective ? undefined : nearest(name, missing);
    const what =
      meant === undefined
        ? isObjective && typeof value !== 'number' && `${name} as ${JSON.stringify(value)}: report numbers`
        : `"${name}" and no ${meant}: is ${meant} meant?`;
    if (what) throw new SearchError('measurement-failed', `${where} reported ${what}`, { name, value });
  }
}

/**
 * Measures every measured objective of a candidate.
 *
 * @param hear takes what is reported on the way. @defaultValue nobody does
 * @throws TrialStopped where `hear` wanted it to end, SearchError `measurement-failed` if an objective is missing or not finite, or a value cannot be kept (a BigInt); whatever the problem throws
 */
export async function measureCandidate(
  problem: SearchProblem,
  job: EvaluationJob,
  signal: AbortSignal,
  hear: Hear = () => 'go-on',
): Promise<Record<string, number>> {
  const { number, seed, split } = job;
  let stopped: TrialStopped | undefined;
  const report = reporting(problem, number, hear);
  const context: MeasureContext = {
    seed,
    split,
    signal,
    number,
    report: (step, values) =>
      report(step, values).catch((error: unknown) => {
        if (error instanceof TrialStopped) stopped = error;
        throw error;
      }),
  };
  let values: Record<string, number>;
  try {
    values = await valuesOf(problem, job, context);
  } catch (error) {
    throw stopped ?? error;
  }
  // Whatever the problem made of being stopped: it is stopped.
  if (stopped) throw stopped as TrialStopped;
  return values;
}

async function valuesOf(
  problem: SearchProblem,
  { genes, number }: EvaluationJob,
  context: MeasureContext,
): Promise<Record<string, number>> {
  const values: Record<string, number> = { ...(await problem.measure?.(genes, context)) };
  for (const objective of problem.objectives) {
    if (objective.kind !== 'measured') continue;
    if (objective.evaluate) values[objective.name] = await objective.evaluate(genes, context);
    const value = values[objective.name];
    if (typeof (value as unknown) === 'bigint') keepableValues(values, `trial ${number}`);
    if (value === undefined || !Number.isFinite(value)) {
      throw new SearchError(
        'measurement-failed',
        `trial ${number}: ${objective.name} is ${String(value)}: a measured objective must be a finite number`,
        {
          number,
          objective: objective.name,
          value,
        },
      );
    }
  }
  await measureConstraints(problem, genes, context, values);
  return keepableValues(values, `trial ${number}`);
}

/** Values of the measured constraints, each under the name that it is kept by. @throws SearchError `measurement-failed` naming what is missing */
async function measureConstraints(
  { inequality = [] }: SearchProblem,
  genes: readonly number[],
  context: MeasureContext,
  values: Record<string, number>,
): Promise<void> {
  for (const { name, ...constraint } of inequality) {
    const value = constraint.evaluate ? await constraint.evaluate(genes, context) : values[name];
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new SearchError(
        'measurement-failed',
        `trial ${context.number}: the constraint ${name} is ${String(value)}: give a finite number by this name, 0 or less where it is kept`,
        { number: context.number, constraint: name, value },
      );
    }
    delete values[name];
    values[constraintValueName(name)] = value;
  }
}

/**
 * @throws SearchError `space-mismatch` if the job belongs to another problem than the one loaded here, `invalid-genes` where it comes from
 * elsewhere and its genes are none of this problem's
 */
export function checkJob(problem: SearchProblem, job: EvaluationJob): void {
  const fingerprint = problemFingerprint(problem);
  if (fingerprint !== job.fingerprint) {
    throw new SearchError(
      'space-mismatch',
      `this worker has problem "${problem.name}" (${fingerprint}), study ${job.study} wants ${job.fingerprint}: start it with the same version of the problem module`,
      { expected: job.fingerprint, actual: fingerprint },
    );
  }
  checkGenes(genesOf(problem.space), job.genes, problem.name);
}
