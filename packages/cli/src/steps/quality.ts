// The quality of a network on a part of the data, under the names that budgets use.
import { evaluate, type Dataset, type ElasticModel, type EvaluateOptions } from '@instatune/supernet';
import { metricOf, type TaskData } from '../data/task.ts';

/** Loss and what people read beside it. */
export type Quality = Readonly<Record<string, number>> & { readonly loss: number };

/** Examples at once where nothing is learnt: twice a training batch. */
const BATCH = 32;

/** @throws SupernetError as `evaluate` does */
export async function qualityOf(
  model: ElasticModel,
  dataset: Dataset,
  of: Pick<TaskData, 'task' | 'problem'>,
  options: Pick<EvaluateOptions, 'subnet' | 'signal' | 'onProgress'> = {},
): Promise<Quality> {
  const { loss, accuracy } = await evaluate(model, dataset, { ...options, batchSize: BATCH });
  switch (metricOf(of)) {
    case 'perplexity':
      return { loss, accuracy, perplexity: Math.exp(loss) };
    case 'r2':
      return { loss, r2: accuracy };
    default:
      return { loss, accuracy };
  }
}
