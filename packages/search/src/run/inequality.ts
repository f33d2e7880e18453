// A problem's measured constraints, checked before anything is measured, and in what comes back.
import { SearchError } from '../errors.ts';
import { constraintValueName } from '../given/constraint-values.ts';
import type { SearchProblem } from '../problem.ts';
import type { Space } from '../space.ts';

/** @throws SearchError `invalid-problem` naming the constraint and the fix */
export function checkInequality(problem: SearchProblem): void {
  const { inequality = [], objectives, attributes = [] } = problem;
  const fail = (what: string, details: Record<string, unknown>): never => {
    throw new SearchError('invalid-problem', `problem "${problem.name}": ${what}`, details);
  };
  if (!Array.isArray(inequality))
    fail(`inequality is ${JSON.stringify(inequality)}: give a list of { name, evaluate }`, { inequality });
  const taken = new Set([...objectives, ...attributes].map(({ name }) => name));
  for (const [index, constraint] of inequality.entries()) {
    const name: unknown = constraint?.name;
    if (typeof name !== 'string' || name === '')
      fail(`inequality[${index}] has the name ${JSON.stringify(name)}: give a text`, { index, name });
    if (taken.has(constraint.name))
      fail(`the constraint "${constraint.name}" is named twice, or is an objective or attribute: names must differ`, {
        name,
      });
    taken.add(constraint.name);
    if (!constraint.evaluate && !problem.measure)
      fail(`the constraint "${constraint.name}" has no evaluate, and the problem no measure: give one`, { name });
  }
}

/**
 * Refuses to go on with a study that was held to other constraints: its trials have no values of these.
 *
 * @throws SearchError `space-mismatch`
 */
export function checkSameInequality(
  { inequality = [] }: SearchProblem,
  study: string,
  there: readonly string[] = [],
): void {
  const here = inequality.map(({ name }) => name);
  if (here.toSorted().join('\n') === there.toSorted().join('\n')) return;
  const list = (names: readonly string[]): string => (names.length > 0 ? names.join(', ') : 'none');
  throw new SearchError(
    'space-mismatch',
    `study "${study}" measured the constraints ${list(there)}, this problem has ${list(here)}: resume with the problem it was started with, or begin a study with its trials as \`measurements\``,
    { here, there },
  );
}

/**
 * What an evaluator measured, completed with what is computed.
 *
 * @throws SearchError `measurement-failed` where it brings no finite number for a measured objective or constraint
 */
export function completeValues(
  space: Space,
  genes: readonly number[],
  measured: Readonly<Record<string, number>>,
): Record<string, number> {
  for (const { name } of space.problem.inequality ?? []) {
    const value = measured[constraintValueName(name)];
    if (Number.isFinite(value)) continue;
    throw new SearchError(
      'measurement-failed',
      `the evaluator gave the constraint ${name} of candidate ${space.key(genes)} as ${String(value)}: give a finite number as "${constraintValueName(name)}", as measureCandidate does; a worker needs the same version of the problem`,
      { name, genes, value },
    );
  }
  return space.complete(genes, measured);
}
