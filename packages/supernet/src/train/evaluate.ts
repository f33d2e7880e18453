// Loss and accuracy of a model or sub-network on a dataset.
import * as tf from '@tensorflow/tfjs';
import { positiveInteger } from '../counts.ts';
import { disposeInputs, inputTensors, labelCountOf } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { sequentialBatches } from '../data/loader.ts';
import type { SubnetConfig } from '../elastic/space.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import type { AttentionFunction, ElasticModel } from '../model/types.ts';
import { createTargets, crossEntropyRows, disposeTargets, flatten } from './losses.ts';

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  /** @defaultValue the full model */
  readonly subnet?: SubnetConfig;
  /** Examples at once. @defaultValue 8 */
  readonly batchSize?: number;
  readonly attention?: AttentionFunction;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly examples: number; readonly total: number }) => void;
}

/** Batches dispatched before their sums are read on WebGPU. */
const BATCHES_IN_FLIGHT = 8;

/** Result of {@link evaluate}. */
export interface Evaluation {
  /** Mean cross-entropy per labelled row, nats. */
  readonly loss: number;
  /** Share of labelled rows whose label has the largest logit. */
  readonly accuracy: number;
  /** Labelled rows: tokens of language models, examples of classifiers. */
  readonly count: number;
}

/**
 * Runs the dataset once, in order.
 *
 * @throws SupernetError `invalid-data` when no row has a label or a label is no class, `invalid-option`, `aborted`
 */
export async function evaluate(
  model: ElasticModel,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { subnet, batchSize = 8, attention, signal } = options;
  positiveInteger('batchSize', batchSize);
  let [loss, correct, count, examples] = [0, 0, 0, 0];
  // Sums of batches whose numbers a GPU may still owe; elsewhere they are read at once.
  const pending: tf.Tensor1D[] = [];
  const inFlight = tf.getBackend() === 'webgpu' ? BATCHES_IN_FLIGHT : 0;
  const read = async (): Promise<void> => {
    const parts = pending.splice(0);
    const packed = tf.tidy(() => tf.sum(tf.stack(parts), 0));
    tf.dispose(parts);
    const [batchLoss, batchCorrect] = await packed.data();
    packed.dispose();
    loss += batchLoss as number;
    correct += batchCorrect as number;
  };
  for await (const batch of sequentialBatches(dataset, batchSize)) {
    throwIfAborted(signal, 'evaluation');
    const inputs = inputTensors(batch);
    const targets = createTargets(batch.labels);
    const sums = tf.tidy(() => {
      const output = model.forward(inputs, { ...(subnet && { subnet }), ...(attention && { attention }) });
      const logits = flatten(output.logits, targets);
      const hits = tf.cast(
        tf.equal(tf.argMax(logits, 1), tf.squeeze(tf.slice2d(targets.indices, [0, 1], [-1, 1]), [1])),
        'float32',
      );
      const weigh = (rows: tf.Tensor) => tf.sum(targets.weights ? tf.mul(rows, targets.weights) : rows);
      return tf.stack([weigh(crossEntropyRows(logits, targets)), weigh(hits)]) as tf.Tensor1D;
    });
    disposeInputs(inputs);
    disposeTargets(targets);
    pending.push(sums);
    if (pending.length > inFlight) await read();
    count += labelCountOf(batch);
    examples += batch.size;
    options.onProgress?.({ examples, total: dataset.length });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  if (pending.length > 0) await read();
  if (count === 0) throw new SupernetError('invalid-data', 'nothing to evaluate: no row has a label', { examples });
  return { loss: loss / count, accuracy: correct / count, count };
}

/** Mean loss in nats; perplexity is its exponential. See {@link evaluate}. */
export async function evaluateLoss(model: ElasticModel, dataset: Dataset, options?: EvaluateOptions): Promise<number> {
  return (await evaluate(model, dataset, options)).loss;
}

/** Share of right answers, 0…1. See {@link evaluate}. */
export async function evaluateAccuracy(
  model: ElasticModel,
  dataset: Dataset,
  options?: EvaluateOptions,
): Promise<number> {
  return (await evaluate(model, dataset, options)).accuracy;
}
