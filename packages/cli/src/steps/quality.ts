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
  of: Pick<TaskData, 'task' | 'problem' | 'classes'>,
  options: Pick<EvaluateOptions, 'subnet' | 'signal' | 'onProgress'> = {},
): Promise<Quality> {
  const metric = metricOf(of);
  const { loss, accuracy, metrics } = await evaluate(model, dataset, {
    ...options,
    batchSize: BATCH,
    metrics: metric === 'f1',
  });
  switch (metric) {
    case 'perplexity':
      return { loss, accuracy, perplexity: Math.exp(loss) };
    case 'f1':
      return { loss, accuracy, f1: metrics!['f1']! };
    case 'r2':
      return { loss, r2: accuracy };
    default:
      return { loss, accuracy };
  }
}

/** Whether one network is as good as another: by F1 of spans where that is what is read (most words are `O`, and hide in the loss), else by the loss. */
export function isAsGood(
  one: Readonly<Record<string, number>>,
  other: Readonly<Record<string, number>>,
  of: Pick<TaskData, 'task' | 'problem' | 'classes'>,
): boolean {
  const [loss, least] = [one['loss']!, other['loss']!];
  if (metricOf(of) !== 'f1') return loss <= least;
  const [f1, most] = [one['f1']!, other['f1']!];
  return f1 > most || (f1 === most && loss <= least);
}
