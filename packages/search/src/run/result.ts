// A study as a result: front, history, baseline, reports. Also for a study that is only being looked at.
import { SearchError } from '../errors.ts';
import type { SearchProblem } from '../problem.ts';
import { Space } from '../space.ts';
import type { Study } from '../study/study.ts';
import { isDone } from '../study/trial.ts';
import { ConstraintSet } from './constraint-set.ts';
import { feasibleTrials, frontOf, hypervolumeHistory, referencePoint } from './front.ts';
import { parseSettings } from './options.ts';
import type { FrontPoint, SearchResult } from './progress.ts';

/** The front of a study as points, each with its report if it was measured again. */
export function frontPoints(space: Space, study: Study, constraints: ConstraintSet): readonly FrontPoint[] {
  const split = parseSettings(study).reportSplit;
  return frontOf(space, feasibleTrials(study.trials, constraints.bounds(study.trials))).map(
    ({ number, genes, values }) => {
      const report = study.reports.find((r) => r.number === number && r.split === split);
      return { number, genes, values, ...(report ? { report: report.values } : {}) };
    },
  );
}

export function studyResult(space: Space, study: Study, constraints: ConstraintSet): SearchResult {
  const bounds = constraints.bounds(study.trials);
  const reference = study.reference ?? referencePoint(space, study.trials);
  const trials = study.trials.filter(isDone);
  const history = reference ? hypervolumeHistory(space, trials, reference, bounds) : [];
  const baseline = space.baseline && study.find(space.key(space.baseline));
  return {
    header: study.header,
    trials,
    front: frontPoints(space, study, constraints),
    history,
    hypervolume: history.at(-1)?.hypervolume ?? 0,
    reference: reference ? space.named(reference) : {},
    baseline: baseline?.values,
    bounds,
    reports: study.reports,
    study,
  };
}

/**
 * The result so far of a study that was opened or read, without measuring anything.
 *
 * @throws SearchError `space-mismatch` if the study belongs to another problem
 */
export function resultOf(problem: SearchProblem, study: Study): SearchResult {
  const space = new Space(problem);
  if (space.fingerprint !== study.header.fingerprint) {
    throw new SearchError(
      'space-mismatch',
      `study "${study.header.name}" belongs to problem "${study.header.problem}", not to this "${problem.name}"`,
      {
        study: study.header.fingerprint,
        problem: space.fingerprint,
      },
    );
  }
  return studyResult(space, study, new ConstraintSet(space, parseSettings(study).constraints));
}
