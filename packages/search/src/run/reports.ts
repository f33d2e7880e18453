// The second measurement: front and baseline on the split that is reported, which the search never chose by.
import { SearchError } from '../errors.ts';
import type { Evaluator } from '../evaluate/evaluator.ts';
import type { Space } from '../space.ts';
import type { Study } from '../study/study.ts';
import { isComplete } from '../study/trial.ts';
import type { ConstraintSet } from './constraint-set.ts';
import { feasibleTrials, frontOf } from './front.ts';
import { completeValues } from './inequality.ts';
import { inLanes } from './lanes.ts';

/** Measures what the split still lacks. @throws SearchError `measurement-failed` */
export async function measureReports(
  space: Space,
  study: Study,
  evaluator: Evaluator,
  constraints: ConstraintSet,
  split: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const front = frontOf(space, feasibleTrials(study.trials, constraints.bounds(study.trials)));
  const baseline = space.baseline && study.find(space.key(space.baseline));
  const wanted = new Set(
    [...front, ...(baseline && isComplete(baseline) ? [baseline] : [])].map(({ number }) => number),
  );
  for (const report of study.reports) if (report.split === split) wanted.delete(report.number);
  const numbers = [...wanted].sort((a, b) => a - b);
  await inLanes(numbers, evaluator.concurrency, signal, async (number, stop) => {
    study.refresh();
    // Another process has measured it meanwhile.
    if (study.reports.some((report) => report.number === number && report.split === split)) return;
    const { genes, seed } = study.trials[number]!;
    const job = { study: study.header.uid, number, genes, seed, split, fingerprint: study.header.fingerprint };
    const result = await evaluator.evaluate(job, { signal: stop });
    if (result.status !== 'complete') {
      throw new SearchError(
        'measurement-failed',
        `trial ${number} failed on split "${split}": ${result.status === 'failed' ? result.error : 'stopped'}. Resume to try again`,
        { number, split },
      );
    }
    study.addReport({
      number,
      split,
      values: completeValues(space, genes, result.values),
      host: result.host,
      durationMs: result.durationMs,
    });
  });
}
