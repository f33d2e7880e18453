// Loss and accuracy of a model or sub-network on a dataset.
import * as tf from '@tensorflow/tfjs';
import { positiveInteger } from '../../counts.ts';
import { disposeInputs, inputTensors } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { sequentialBatches } from '../../data/loader.ts';
import { SupernetError, throwIfAborted } from '../../errors.ts';
import { checkBatchIds } from '../../model/input-checks.ts';
import type { ElasticModel } from '../../model/types.ts';
import { trimUnusedBuffers } from '../../webgpu/pool.ts';
import type { EvaluateOptions, Evaluation, ExampleScores } from './evaluation.ts';
import { inPrecision } from '../../model/precision.ts';
import { crossEntropyRows } from '../losses/losses.ts';
import { disposeTargets } from '../losses/targets.ts';
import { batchTargets, outputKind, outputRows } from '../losses/outputs.ts';
import { predictionsOf } from './predictions.ts';

/** Bytes of unused GPU buffers that stay afterwards. */
const MOST_UNUSED = 4 * 2 ** 30;

/** Batches dispatched before their sums are read on WebGPU. */
const BATCHES_IN_FLIGHT = 8;

/**
 * Runs the dataset once, in order.
 *
 * @throws SupernetError `invalid-data` when no row has a label, a label is no class or an id no token, `unsupported-model` for sentence encoders, `non-finite` naming the first
 * example whose loss is no finite number, `invalid-option`, `aborted`
 *
 * @example
 * ```ts
 * const { validation } = splitText(tokenizer.encode(text), { length: 64 });
 * const { loss, accuracy } = await evaluate(model, validation, { subnet });
 * console.log(`perplexity ${Math.exp(loss)}, ${100 * accuracy} % of the next tokens right`);
 * ```
 */
export async function evaluate(
  model: ElasticModel,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { subnet, batchSize = 8, attention, precision, signal } = options;
  positiveInteger('batchSize', batchSize);
  const { head } = model.config;
  if (head === 'sentence-embedding') {
    const message = 'a sentence encoder has no labels to be measured by: compareEmbeddings says how like another it is';
    throw new SupernetError('unsupported-model', message, { head });
  }
  const isLanguageModel = head === 'causal-lm' || head === 'masked-lm';
  if (options.metrics && isLanguageModel) {
    const message = 'metrics = true: a language model is measured by loss and accuracy, leave it out';
    throw new SupernetError('invalid-option', message, { metrics: true, head });
  }
  if (options.metrics || outputKind(model.config) !== 'softmax') return evaluatePredictions(model, dataset, options);
  const scores = {
    loss: new Float64Array(dataset.length),
    accuracy: new Float64Array(dataset.length),
    count: new Int32Array(dataset.length),
  };
  // Sums of batches [2, examples] whose numbers a GPU may still owe; elsewhere they are read at once.
  const pending: tf.Tensor2D[] = [];
  const inFlight = tf.getBackend() === 'webgpu' ? BATCHES_IN_FLIGHT : 0;
  let [known, examples] = [0, 0];
  const read = async (): Promise<void> => {
    const packed = tf.concat(pending, 1);
    tf.dispose(pending.splice(0));
    const [, size] = packed.shape;
    const sums = (await packed.data()) as Float32Array;
    packed.dispose();
    scores.loss.set(sums.subarray(0, size), known);
    scores.accuracy.set(sums.subarray(size), known);
    requireFinite(scores.loss, known, known + size);
    known += size;
  };
  for await (const batch of sequentialBatches(dataset, batchSize)) {
    throwIfAborted(signal, 'evaluation');
    checkBatchIds(model.config, batch);
    const inputs = inputTensors(batch);
    const targets = batchTargets(model.config, batch);
    const sums = tf.tidy(() => {
      const how = { ...(subnet && { subnet }), ...(attention && { attention }) };
      const output = inPrecision(precision, () => model.forward(inputs, how));
      const logits = outputRows(model.config, output.logits, targets);
      const hits = tf.cast(
        tf.equal(tf.argMax(logits, 1), tf.squeeze(tf.slice2d(targets.indices, [0, 1], [-1, 1]), [1])),
        'float32',
      );
      const weigh = (rows: tf.Tensor) =>
        tf.sum(tf.reshape(targets.weights ? tf.mul(rows, targets.weights) : rows, [batch.size, -1]), 1);
      return tf.stack([weigh(crossEntropyRows(logits, targets)), weigh(hits)]) as tf.Tensor2D;
    });
    disposeInputs(inputs);
    disposeTargets(targets);
    pending.push(sums);
    const rows = batch.labels.length / batch.size;
    batch.labels.forEach((label, row) => (scores.count[examples + Math.floor(row / rows)]! += label >= 0 ? 1 : 0));
    if (pending.length > inFlight) await read();
    examples += batch.size;
    options.onProgress?.({ examples, total: dataset.length });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  if (pending.length > 0) await read();
  // A search measures one width after the other.
  trimUnusedBuffers(MOST_UNUSED);
  return summarized(scores, options);
}

/** Means over the labelled rows of sums by example. */
function summarized(scores: ExampleScores, options: EvaluateOptions): Evaluation {
  const total = (values: Iterable<number>): number => {
    let sum = 0;
    for (const value of values) sum += value;
    return sum;
  };
  const count = total(scores.count);
  if (count === 0) {
    throw new SupernetError('invalid-data', 'nothing to evaluate: no row has a label', {
      examples: scores.count.length,
    });
  }
  const result = { loss: total(scores.loss) / count, accuracy: total(scores.accuracy) / count, count };
  if (!options.perExample) return result;
  const mean = (sum: number, example: number): number => sum / Math.max(1, scores.count[example]!);
  const perExample = { loss: scores.loss.map(mean), accuracy: scores.accuracy.map(mean), count: scores.count };
  return { ...result, perExample };
}

async function evaluatePredictions(
  model: ElasticModel,
  dataset: Dataset,
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { examples, metrics } = await predictionsOf(model, dataset, options);
  const scores = {
    loss: Float64Array.from(examples, ({ loss }) => loss),
    accuracy: Float64Array.from(examples, ({ right }) => right),
    count: Int32Array.from(examples, ({ count }) => count),
  };
  requireFinite(scores.loss, 0, examples.length);
  const result = summarized(scores, options);
  const isOfValues = outputKind(model.config) === 'squared';
  return {
    ...result,
    ...(isOfValues && { accuracy: metrics['r2'] as number }),
    ...(options.metrics && { metrics }),
  };
}

function requireFinite(losses: Float64Array, from: number, to: number): void {
  for (let example = from; example < to; example++) {
    const loss = losses[example] as number;
    if (Number.isFinite(loss)) continue;
    const message = `the loss of example ${example} is ${loss}: its logits are not finite; load the checkpoint again or one before they were`;
    throw new SupernetError('non-finite', message, { example, loss });
  }
}

/** Mean loss in nats; perplexity is its exponential. See {@link evaluate}. @throws SupernetError as that does */
export async function evaluateLoss(model: ElasticModel, dataset: Dataset, options?: EvaluateOptions): Promise<number> {
  return (await evaluate(model, dataset, options)).loss;
}

/** Share of right answers, 0…1. See {@link evaluate}. @throws SupernetError as that does */
export async function evaluateAccuracy(
  model: ElasticModel,
  dataset: Dataset,
  options?: EvaluateOptions,
): Promise<number> {
  return (await evaluate(model, dataset, options)).accuracy;
}
