// A study's problem as far as the file itself tells: enough to show and pick, nothing to measure with. No code is loaded.
import type { Variable } from '@instatune/nsga2';
import { SearchError } from '../errors.ts';
import type { SearchProblem } from '../problem.ts';
import type { Study } from '../study/study.ts';
import { parseSettings } from './options.ts';

/**
 * A problem for {@link resultOf} of a study whose module is not to be loaded: another person's file, or a module that is not here. Names,
 * units, directions and constraints are the study's; the baseline is the trial that was measured as such.
 *
 * @example
 * const study = readStudy('from-elsewhere.db');
 * const { front } = resultOf(viewOf(study), study);
 */
export function viewOf(study: Study): SearchProblem {
  const { header } = study;
  const unmeasurable = (): never => {
    throw new SearchError(
      'problem-module',
      `study "${header.name}" is only looked at: give the problem "${header.problem}" to measure`,
      { problem: header.problem },
    );
  };
  const { attributes = [], inequality = [] } = parseSettings(study);
  const baseline = study.trials.find(({ origin }) => origin === 'baseline');
  return {
    name: header.problem,
    space: header.space as unknown as readonly Variable[],
    objectives: header.objectives.map((objective) => ({ ...objective, evaluate: unmeasurable })),
    attributes: attributes.map(({ name, unit }) => ({
      name,
      ...(unit === undefined ? {} : { unit }),
      evaluate: unmeasurable,
    })),
    inequality: inequality.map((name) => ({ name, evaluate: unmeasurable })),
    ...(baseline ? { baseline: baseline.genes } : {}),
  };
}
