// InstaTune fine-tuning: the loop over steps with progress, abort, checkpoints and exact resume.
import type { Dataset } from '../../data/dataset.ts';
import type { BatchLoader } from '../../data/loader.ts';
import { throwIfAborted } from '../../errors.ts';
import type { ElasticModel } from '../../model/types.ts';
import type { FineTuneOptions } from './options.ts';
import type { FineTuneProgress, FineTuneResult } from './progress.ts';
import { Run } from './run.ts';

/**
 * Fine-tunes a model in place, as a super-network unless the strategy is `plain` or `kd-only` (InstaTune, arXiv 2308.15609).
 *
 * @param data a dataset (batches are drawn from it by `options.batchSize` and `options.seed`), or a loader of your own
 * @throws SupernetError `invalid-option`, `invalid-data`, `invalid-checkpoint`, `non-finite` (the loss is no number),
 * `out-of-memory` (tfjs-wasm, tfjs-webgpu), `aborted`
 *
 * @example
 * ```ts
 * const { train } = splitText(tokenizer.encode(text), { length: 128 });
 * const { history } = await fineTune(model, train, { steps: 200, batchSize: 4, learningRate: 1e-3,
 *   onProgress: ({ step, steps, loss, eta }) => console.log(`${step}/${steps} ${loss.toFixed(3)} ${eta.toFixed(0)} s`) });
 * ```
 */
export async function fineTune(
  model: ElasticModel,
  data: Dataset | BatchLoader,
  options: FineTuneOptions = {},
): Promise<FineTuneResult> {
  const run = fineTuneSteps(model, data, options);
  for (;;) {
    const { done, value } = await run.next();
    if (done) return value;
  }
}

/**
 * {@link fineTune} step by step. Leaving the loop early ends the run; with a checkpoint store its state is saved first.
 *
 * @throws SupernetError as that does
 *
 * @example
 * ```ts
 * for await (const { step, loss } of fineTuneSteps(model, train, { steps: 100 })) {
 *   if (loss < 2) break;
 * }
 * ```
 */
export async function* fineTuneSteps(
  model: ElasticModel,
  data: Dataset | BatchLoader,
  options: FineTuneOptions = {},
): AsyncGenerator<FineTuneProgress, FineTuneResult, void> {
  const run = new Run(model, data, options);
  try {
    await run.start();
    while (run.step < run.steps || run.pending.length > 0) {
      if (options.signal?.aborted) {
        for (const progress of await run.flush()) yield progress;
        await run.save();
        throwIfAborted(options.signal, 'fine-tuning');
      }
      for (const progress of await run.advance()) {
        options.onProgress?.(progress);
        yield progress;
      }
    }
    await run.save();
    run.finished = true;
    run.useAverage();
    return run.result();
  } finally {
    await run.close();
  }
}
