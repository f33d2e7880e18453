// One trial of a study, measured and written down.
import { SearchError } from '../errors.ts';
import type { Evaluation, EvaluationJob } from '../evaluate/evaluator.ts';
import type { Study } from '../study/study.ts';
import type { IntermediateValues, Trial } from '../study/trial.ts';
import type { DriverOptions } from './driver-options.ts';
import { completeValues } from './inequality.ts';
import { isHopeless } from './stopping.ts';
import { atOnceOrUnlocked, whenUnlocked } from './unlocked.ts';

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
  const { study, evaluator } = options;
  const trial = study.trials[number]!;
  const job: EvaluationJob = {
    study: study.header.uid,
    number,
    genes: trial.genes,
    seed: trial.seed,
    split: 'search',
    fingerprint: study.header.fingerprint,
  };
  const onReport = async (report: IntermediateValues): Promise<'go-on' | 'stop'> => {
    await whenUnlocked(() => study.report(number, report), signal);
    return isToStop(options, trial, report) ? 'stop' : 'go-on';
  };
  let started: Promise<void> | undefined;
  const onStart = (): void => {
    if (begun) return;
    const at = Date.now();
    const waits = atOnceOrUnlocked(() => study.start(number, at), signal);
    if (!waits) return;
    started = waits;
    started.catch(() => {}); // said below
  };
  try {
    const result = await evaluator.evaluate(job, { signal, onStart, onReport });
    await started;
    options.onTrial(await whenUnlocked(() => ended(options, trial, result), signal));
  } catch (error) {
    if (study.trials[number]!.status === 'running') giveBack(study, number);
    throw error;
  }
}

/** Writes down how a trial ended. */
function ended({ space, study }: DriverOptions, { number, genes }: Trial, result: Evaluation): Trial {
  if (result.status === 'failed') return study.fail(number, result.error, result.attempts, result);
  const { status, ...outcome } = result;
  if (status === 'stopped') return study.stop(number, outcome);
  return study.complete(number, { ...outcome, values: completeValues(space, genes, result.values) });
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
