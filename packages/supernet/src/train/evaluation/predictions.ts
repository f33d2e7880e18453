// Evaluation that looks at every prediction on the host: outputs that are no single class, and measures beyond loss and accuracy.
import * as tf from '@tensorflow/tfjs';
import { labelNames } from '@hip/checkpoints';
import { disposeInputs, inputTensors } from '../../data/dataset.ts';
import type { Dataset, HostBatch } from '../../data/dataset.ts';
import { sequentialBatches } from '../../data/loader.ts';
import { throwIfAborted } from '../../errors.ts';
import { checkBatchIds } from '../../model/input-checks.ts';
import type { ElasticModel, ForwardOutput } from '../../model/types.ts';
import type { EvaluateOptions } from './evaluation.ts';
import { crossEntropyRows, outputLossRows } from '../losses/losses.ts';
import { disposeTargets } from '../losses/targets.ts';
import type { OutputKind } from '../losses/targets.ts';
import { classMetrics, multiLabelMetrics, retrievalMetrics, spanMetrics, valueMetrics } from './metrics.ts';
import type { Metrics } from './metrics.ts';
import { batchTargets, outputKind, outputRows } from '../losses/outputs.ts';

/** What one row of outputs was, and should have been. */
interface Row {
  readonly loss: number;
  readonly right: number;
}

/** Sums over the labelled rows of one example. */
export interface ExampleSums {
  readonly loss: number;
  readonly right: number;
  readonly count: number;
}

/** Everything predicted, for what is measured at the end. */
interface Collected {
  readonly predicted: number[];
  readonly expected: number[];
  readonly predictedTags: string[][];
  readonly tags: string[][];
  readonly images: Float32Array[];
  readonly texts: Float32Array[];
}

/**
 * Loss and share of right outputs of each example, and the measures of the model's problem.
 *
 * @throws SupernetError as `evaluate`
 */
export async function predictionsOf(
  model: ElasticModel,
  dataset: Dataset,
  options: EvaluateOptions,
): Promise<{ readonly examples: ExampleSums[]; readonly metrics: Metrics }> {
  const { subnet, batchSize = 8, attention, signal } = options;
  const kind = outputKind(model.config);
  const names = labelNames(model.config);
  const collected: Collected = { predicted: [], expected: [], predictedTags: [], tags: [], images: [], texts: [] };
  const examples: ExampleSums[] = [];
  for await (const batch of sequentialBatches(dataset, batchSize)) {
    throwIfAborted(signal, 'evaluation');
    checkBatchIds(model.config, batch);
    const inputs = inputTensors(batch);
    const targets = batchTargets(model.config, batch);
    const { logits, losses, embeddings } = tf.tidy(() => {
      const output = model.forward(inputs, { ...(subnet && { subnet }), ...(attention && { attention }) });
      const rows = outputRows(model.config, output.logits, targets);
      const own = kind === 'softmax' ? crossEntropyRows(rows, targets) : outputLossRows(rows, targets);
      return { logits: rows, losses: own, embeddings: embeddingsOf(output) };
    });
    disposeInputs(inputs);
    disposeTargets(targets);
    const tensors: readonly tf.Tensor[] = [logits, losses, ...embeddings];
    const [values, ofRows, images, texts] = (await Promise.all(
      tensors.map((tensor) => tensor.data()),
    )) as Float32Array[];
    tf.dispose(tensors as tf.Tensor[]);
    if (images && texts) {
      collected.images.push(images);
      collected.texts.push(texts);
    }
    const width = (values as Float32Array).length / batch.labels.length;
    const rows = Array.from(batch.labels, (label, row): Row | undefined => {
      if (label < 0) return undefined;
      const own = (values as Float32Array).subarray(row * width, (row + 1) * width);
      const expected = batch.values?.data.subarray(row * width, (row + 1) * width) ?? [label];
      return { loss: (ofRows as Float32Array)[row] as number, right: note(collected, kind, own, expected) };
    });
    if (model.config.head === 'token-classification') noteTags(collected, batch, values as Float32Array, names);
    const perExample = rows.length / batch.size;
    for (let at = 0; at < rows.length; at += perExample) {
      const counted = rows.slice(at, at + perExample).filter((row) => row !== undefined);
      const sum = (key: 'loss' | 'right') => counted.reduce((total, row) => total + row[key], 0);
      examples.push({ loss: sum('loss'), right: sum('right'), count: counted.length });
    }
    options.onProgress?.({ examples: examples.length, total: dataset.length });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return { examples, metrics: measure(model, kind, collected) };
}

/** Keeps a row's prediction; how right it is, 0…1 (of values nothing is said here). */
function note(collected: Collected, kind: OutputKind, own: Float32Array, expected: ArrayLike<number>): number {
  const { predicted, expected: all } = collected;
  for (let i = 0; i < expected.length; i++) all.push(expected[i] as number);
  switch (kind) {
    case 'softmax': {
      const best = largest(own);
      predicted.push(best);
      return best === expected[0] ? 1 : 0;
    }
    case 'sigmoid': {
      let right = 0;
      for (const [i, z] of own.entries()) {
        predicted.push(1 / (1 + Math.exp(-z)));
        if (z >= 0 === (expected[i] as number) >= 0.5) right++;
      }
      return right / own.length;
    }
    default:
      predicted.push(...own);
      return 0;
  }
}

function noteTags(collected: Collected, batch: HostBatch, values: Float32Array, names: readonly string[]): void {
  const perExample = batch.labels.length / batch.size;
  const width = values.length / batch.labels.length;
  for (let example = 0; example < batch.size; example++) {
    const [said, tags]: [string[], string[]] = [[], []];
    for (let row = example * perExample; row < (example + 1) * perExample; row++) {
      const label = batch.labels[row] as number;
      if (label < 0) continue;
      said.push(names[largest(values.subarray(row * width, (row + 1) * width))] as string);
      tags.push(names[label] as string);
    }
    collected.predictedTags.push(said);
    collected.tags.push(tags);
  }
}

function measure(model: ElasticModel, kind: OutputKind, collected: Collected): Metrics {
  const { predicted, expected, predictedTags, tags, images, texts } = collected;
  const { head, labels, hiddenSize } = model.config;
  if (head === 'image-text-retrieval') return retrievalMetrics(joined(images), joined(texts), hiddenSize);
  if (head === 'token-classification') return spanMetrics(predictedTags, tags);
  if (kind === 'squared') return valueMetrics(predicted, expected);
  if (kind === 'sigmoid') {
    const metrics = multiLabelMetrics(predicted, expected, labels);
    if (head !== 'visual-question-answering') return metrics;
    // The score of the answer that is given (Antol 2015).
    let score = 0;
    for (let row = 0; row < predicted.length; row += labels)
      score += expected[row + largest(predicted.slice(row, row + labels))] as number;
    return { ...metrics, answerScore: score / Math.max(1, predicted.length / labels) };
  }
  return classMetrics(predicted, expected, labels);
}

function embeddingsOf({ imageEmbeddings, textEmbeddings }: ForwardOutput): tf.Tensor[] {
  return imageEmbeddings && textEmbeddings ? [imageEmbeddings, textEmbeddings] : [];
}

function largest(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
