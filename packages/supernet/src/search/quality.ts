// The quality of a sub-network on a task, measured as it would run, at once or part after part.
import { subset, type Dataset } from '../data/dataset.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError } from '../errors.ts';
import { quantizedModel, type OnnxOptions } from '../export/onnx.ts';
import type { ElasticModel } from '../model/types.ts';
import { evaluate } from '../train/evaluation/evaluate.ts';
import type { DecodedGenes } from './genes.ts';
import type { SubnetMeasureContext, SubnetTask } from './options.ts';

/** How a sub-network is asked. */
type Asked = SubnetMeasureContext & { readonly batchSize: number; readonly steps: number };

/** Measured as it would run: with weights rounded to their bits, where those are genes. */
export async function qualityOf(
  model: ElasticModel,
  { subnet, bits }: DecodedGenes,
  task: SubnetTask,
  { onnx, ...options }: Asked & { readonly onnx: Omit<OnnxOptions, 'signal'> },
): Promise<Readonly<Record<string, number>>> {
  if (!bits) return ask(model, subnet, task, options);
  const rounded = await quantizedModel(model, subnet, onnx);
  try {
    return await ask(rounded, undefined, task, options);
  } finally {
    rounded.dispose();
  }
}

async function ask(
  model: ElasticModel,
  subnet: SubnetConfig | undefined,
  task: SubnetTask,
  options: Asked,
): Promise<Readonly<Record<string, number>>> {
  const { split, signal, seed, report } = options;
  if (typeof task === 'function') return task(model, subnet, { split, signal, seed, report });
  const dataset = 'batch' in task ? task : (task as Readonly<Record<string, Dataset>>)[split];
  if (typeof dataset?.batch !== 'function') {
    const known = Object.keys(task).join(', ');
    throw new SupernetError('invalid-option', `task has no data for the split ${split}: it has ${known}`, { split });
  }
  return inParts(model, subnet, dataset as Dataset, options);
}

const withPerplexity = (
  { config }: ElasticModel,
  quality: { readonly loss: number; readonly accuracy: number },
): Readonly<Record<string, number>> =>
  config.head.endsWith('-lm') ? { ...quality, perplexity: Math.exp(quality.loss) } : quality;

/** Part after part of a dataset, each reported with those before it; the last is the whole. */
async function inParts(
  model: ElasticModel,
  subnet: SubnetConfig | undefined,
  dataset: Dataset,
  { split, signal, batchSize, steps, report }: Asked,
): Promise<Readonly<Record<string, number>>> {
  // What is reported at the end is measured whole anyway.
  const parts = split === 'search' ? Math.min(steps, dataset.length) : 1;
  const sum = { loss: 0, accuracy: 0, count: 0 };
  const soFar = () => withPerplexity(model, { loss: sum.loss / sum.count, accuracy: sum.accuracy / sum.count });
  for (let part = 0; part < parts; part++) {
    const from = Math.round((part * dataset.length) / parts);
    const length = Math.round(((part + 1) * dataset.length) / parts) - from;
    const data =
      parts === 1
        ? dataset
        : subset(
            dataset,
            Array.from({ length }, (_, i) => from + i),
          );
    const { loss, accuracy, count } = await evaluate(model, data, { subnet, batchSize, signal });
    // Not the least digit changes for what is measured in one go.
    if (parts === 1) return withPerplexity(model, { loss, accuracy });
    sum.loss += loss * count;
    sum.accuracy += accuracy * count;
    sum.count += count;
    if (part + 1 < parts) await report?.(((part + 1) * steps) / parts, soFar());
  }
  return soFar();
}
