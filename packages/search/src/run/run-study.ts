// A study from where it stands to its budget.
import { SearchError } from '../errors.ts';
import type { Evaluator } from '../evaluate/evaluator.ts';
import { inProcess } from '../evaluate/in-process.ts';
import { KNOWN } from '../given/known.ts';
import type { Space } from '../space.ts';
import type { Study } from '../study/study.ts';
import { isDone } from '../study/trial.ts';
import type { Tactic } from '../tactics/tactic.ts';
import type { WarmStart } from '../warm-start.ts';
import { driveAsynchronously } from './asynchronous.ts';
import { ConstraintSet } from './constraint-set.ts';
import { drive } from './driver.ts';
import { FrontTracker, referencePoint } from './front.ts';
import { parseSettings, type RunOptions } from './options.ts';
import type { SearchProgress, SearchResult } from './progress.ts';
import { measureReports } from './reports.ts';
import { studyResult } from './result.ts';

/** Runs a study to its budget, measures the reports, closes it. */
export async function runStudy(
  space: Space,
  study: Study,
  tactic: Tactic,
  warm: WarmStart | undefined,
  options: RunOptions,
): Promise<SearchResult> {
  const evaluator: Evaluator = options.evaluator ?? inProcess(space.problem);
  const { concurrency } = evaluator;
  const settings = parseSettings(study);
  const constraints = new ConstraintSet(space, settings.constraints);
  const budget = settings.evaluations;
  const start = performance.now();
  const before = study.trials.filter((trial) => isDone(trial) && trial.origin !== KNOWN).length;
  let tracker: FrontTracker | undefined;
  let round = study.trials.at(-1)?.round ?? 0;

  const fixReference = () => {
    const first = study.trials.filter((trial) => trial.round === 0);
    // What is known before the first round is proposed is not all of it.
    const begun = study.trials.some(({ origin }) => origin !== KNOWN);
    if (tracker || !begun || first.length === 0 || !first.every(isDone)) return;
    const reference = study.reference ?? referencePoint(space, study.trials);
    if (!reference) return;
    if (!study.reference) study.setReference(reference);
    tracker = new FrontTracker(space, reference, constraints.bounds(study.trials));
    for (const trial of study.trials) tracker.add(trial);
  };
  let done = before;
  const tell = (phase: SearchProgress['phase'], trial?: SearchProgress['trial']) => {
    const elapsedMs = performance.now() - start;
    const fresh = done - before;
    options.onProgress?.({
      phase,
      round,
      evaluations: done,
      budget,
      hypervolume: tracker?.hypervolume,
      frontSize: tracker?.size ?? 0,
      elapsedMs,
      etaMs: fresh === 0 ? undefined : (elapsedMs / fresh) * (budget - done),
      ...(trial ? { trial } : {}),
    });
  };

  try {
    if (!(concurrency >= 1))
      throw new SearchError('invalid-option', `the evaluator's concurrency is ${concurrency}: use a number ≥ 1`, {
        concurrency,
      });
    fixReference();
    await (settings.proposals === 'asynchronous' ? driveAsynchronously : drive)({
      space,
      study,
      tactic,
      evaluator,
      budget,
      given: settings.candidates ?? [],
      constraints,
      warm,
      retries: options.retries ?? 2,
      stopping: settings.earlyStopping,
      asynchronous: settings.proposals === 'asynchronous',
      signal: options.signal,
      onProposing(next) {
        round = next;
        tell('proposing');
      },
      onTrial(trial) {
        done++;
        round = Math.max(round, trial.round);
        if (tracker) tracker.add(trial);
        else fixReference();
        tell('measuring', trial);
      },
    });
    if (settings.reportSplit !== undefined) {
      tell('reporting');
      await measureReports(space, study, evaluator, constraints, settings.reportSplit, options.signal);
    }
    return studyResult(space, study, constraints);
  } finally {
    study.close();
  }
}
