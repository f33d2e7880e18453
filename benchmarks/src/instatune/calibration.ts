// Batches of training data that a network is looked at with: what matters in it, and what it lacks where it is cut.
import * as tf from '@tensorflow/tfjs';
import { inputTensors, type Dataset, type ModelInputs } from '@instatune/supernet';

/** Runs an action on `count` batches of `size` examples at most, from all over the data, and frees them. */
export async function withCalibration<T>(
  data: Dataset,
  count: number,
  size: number,
  action: (batches: readonly ModelInputs[]) => Promise<T>,
): Promise<T> {
  const batches: ModelInputs[] = [];
  for (let i = 0; i < count; i++) {
    const indices = Array.from({ length: Math.min(size, data.length) }, (_, row) => (i * 997 + row * 31) % data.length);
    batches.push(inputTensors(await data.batch(indices)));
  }
  try {
    return await action(batches);
  } finally {
    tf.dispose(batches.flatMap((batch) => Object.values(batch) as tf.Tensor[]));
  }
}
