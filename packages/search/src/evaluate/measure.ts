// One measurement of one candidate by the problem itself, checked.
import { SearchError } from '../errors.ts';
import { checkGenes, genesOf } from '../genes.ts';
import type { SearchProblem } from '../problem.ts';
import { problemFingerprint } from '../space.ts';
import { keepableValues } from '../study/values.ts';
import type { EvaluationJob } from './evaluator.ts';

/**
 * Measures every measured objective of a candidate.
 *
 * @throws SearchError `measurement-failed` if an objective is missing or not finite, or a value cannot be kept (a BigInt); whatever the problem throws
 */
export async function measureCandidate(
  problem: SearchProblem,
  job: EvaluationJob,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const { genes, number, seed, split } = job;
  const context = { seed, split, signal, number };
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
  return keepableValues(values, `trial ${number}`);
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
