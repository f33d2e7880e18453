// The quality of a network on a part of the data, under the names that budgets use.
import { evaluate, type Dataset, type ElasticModel, type EvaluateOptions } from '@instatune/supernet';
import { metricOf, type TaskName } from '../data/task.ts';

/** Loss and what people read beside it. */
export type Quality = Readonly<Record<string, number>> & { readonly loss: number };

/** Examples at once where nothing is learnt: twice a training batch. */
const BATCH = 32;

/** @throws SupernetError as `evaluate` does */
export async function qualityOf(
  model: ElasticModel,
  dataset: Dataset,
  task: TaskName,
  options: Pick<EvaluateOptions, 'subnet' | 'signal' | 'onProgress'> = {},
): Promise<Quality> {
  const { loss, accuracy } = await evaluate(model, dataset, { ...options, batchSize: BATCH });
  return { loss, accuracy, ...(metricOf(task) === 'perplexity' && { perplexity: Math.exp(loss) }) };
}
