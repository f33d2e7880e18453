// The whole pipeline: load, train as a super-network, search, choose, fine-tune on, measure.
import type { TuneOptions, TuneOutcome } from './outcome.ts';
import { Run } from './run.ts';

/**
 * Makes a model smaller: see the stages in `STAGES`. Interrupted at any moment and called again with the same options and store it goes
 * on, and comes to the same end (as far as latencies repeat).
 *
 * @throws TuneError `unmet-budget` (its `details.findings` are the run's {@link TuneFindings}, `details.nearest` what comes nearest),
 * `bad-budget`, `invalid-option`, `other-run`; SupernetError, SearchError, CheckpointError of the steps, `aborted` among them
 *
 * @example
 * ```ts
 * const data = await textTask(rows, tokenizer);
 * const { model, small, full } = await tune({ model: 'hf://owner/name', data, settings: { budget: 'macs <= 0.5x' } });
 * console.log(small.accuracy, full.accuracy);
 * ```
 */
export async function tune(options: TuneOptions): Promise<TuneOutcome> {
  const run = new Run(options);
  try {
    await run.load();
    await run.train();
    await run.search();
    await run.choose();
    await run.refine();
    return await run.measure();
  } finally {
    run.dispose();
  }
}
