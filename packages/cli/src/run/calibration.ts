// Batches of training data that a network is looked at with: what matters in it, and what is missing where it is cut.
import { inputTensors, type Dataset, type ElasticModel, type ModelInputs } from '@instatune/supernet';
import * as tf from '@tensorflow/tfjs';

/** Examples of a batch. */
export const EXAMPLES = 32;
/** Batches for importance, and the fewest for a fit. */
const BATCHES = 4;
const MOST_BATCHES = 32;
/** Tokens for each unknown of a fit. */
const TOKENS_PER_UNIT = 4;

/** Batches that have enough tokens to fit projections of so many units, as far as there is data, and `most` allows. */
export async function batchesToFit(
  train: Dataset,
  { config }: ElasticModel,
  units: number,
  most = MOST_BATCHES,
): Promise<number> {
  const { inputIds, attentionMask, size } = await train.batch(indicesOf(train, 0));
  const { imageSize, patchSize } = config.patches ?? { imageSize: [1, 1], patchSize: [1, 1] };
  const patches = (imageSize[0] / patchSize[0]) * (imageSize[1] / patchSize[1]);
  const real = attentionMask ? attentionMask.data.filter((is) => is !== 0).length : inputIds?.data.length;
  const wanted = Math.ceil((TOKENS_PER_UNIT * units) / (real ?? size * patches));
  const there = Math.ceil(train.length / Math.min(EXAMPLES, train.length));
  return Math.max(1, Math.min(MOST_BATCHES, there, most, Math.max(BATCHES, wanted)));
}

/** Runs an action on batches of training data and frees them. */
export async function withCalibration<T>(
  train: Dataset,
  action: (batches: readonly ModelInputs[]) => Promise<T>,
  count = BATCHES,
): Promise<T> {
  const batches: ModelInputs[] = [];
  const most = Math.ceil(train.length / Math.min(EXAMPLES, train.length));
  for (let i = 0; i < Math.min(count, most); i++) batches.push(inputTensors(await train.batch(indicesOf(train, i))));
  try {
    return await action(batches);
  } finally {
    tf.dispose(batches.flatMap((batch) => Object.values(batch) as tf.Tensor[]));
  }
}

function indicesOf({ length }: Dataset, batch: number): number[] {
  const count = Math.min(EXAMPLES, length);
  return Array.from({ length: count }, (_, row) => (batch * count + row) % length);
}
