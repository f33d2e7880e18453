// One trial of a study, measured and written down.
import { SearchError } from '../errors.ts';
import type { EvaluationJob } from '../evaluate/evaluator.ts';
import type { Study } from '../study/study.ts';
import type { IntermediateValues, Trial } from '../study/trial.ts';
import type { DriverOptions } from './driver-options.ts';
import { isHopeless } from './stopping.ts';

/**
 * Measures a trial; an abort puts it back.
 *
 * @param begun whether the study knows already that it runs
 */
export async function measureTrial(
  options: DriverOptions,
  number: number,
  signal: AbortSignal,
  begun = false,
): Promise<void> {
  const { space, study, evaluator } = options;
  const trial = study.trials[number]!;
  const job: EvaluationJob = {
    study: study.header.uid,
    number,
    genes: trial.genes,
    seed: trial.seed,
    split: 'search',
    fingerprint: study.header.fingerprint,
  };
  const onReport = (report: IntermediateValues): 'go-on' | 'stop' => {
    study.report(number, report);
    return isToStop(options, trial, report) ? 'stop' : 'go-on';
  };
  const onStart = (): void => {
    if (!begun) study.start(number, Date.now());
  };
  try {
    const result = await evaluator.evaluate(job, { signal, onStart, onReport });
    if (result.status === 'complete') {
      const { status: _, ...outcome } = result;
      options.onTrial(study.complete(number, { ...outcome, values: space.complete(trial.genes, result.values) }));
    } else if (result.status === 'stopped') {
      const { status: _, ...outcome } = result;
      options.onTrial(study.stop(number, outcome));
    } else {
      options.onTrial(study.fail(number, result.error, result.attempts, result));
    }
  } catch (error) {
    if (study.trials[number]!.status === 'running') giveBack(study, number);
    throw error;
  }
}

/** In rounds, compared with earlier rounds only: what is stopped does not depend on what was faster. */
function isToStop(
  { space, study, stopping, constraints, asynchronous }: DriverOptions,
  trial: Trial,
  report: IntermediateValues,
): boolean {
  if (!stopping) return false;
  const others = asynchronous ? study.trials : study.trials.filter(({ round }) => round < trial.round);
  return isHopeless(space, others, trial, report, { stopping, bounds: constraints.bounds(others) });
}

/** Puts a trial back; the file may be full or another's, which the error that came first says. */
function giveBack(study: Study, number: number): void {
  try {
    study.release(number);
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
  }
}
