// Holds what a recording gave against what tfjs gave for the same inputs.
import * as tf from '@tensorflow/tfjs';

/** The relative difference up to which two runs of the same dispatches agree: kernels add up in a fixed order, so 0 is what is expected. */
export const AGREEMENT = 1e-4;
/** Differences that are so small beside all of the work's numbers do not count: the gradient of a bias of keys is rounding alone. */
const UNSEEN = 1e-6;

/**
 * Sums over each pair of tensors of the same name: Σ (a − b)² and Σ a², one after another [2·n], on the device. A tensor that is missing or of
 * another shape counts as infinitely different.
 */
export function differenceOf(
  own: Readonly<Record<string, tf.Tensor>>,
  other: Readonly<Record<string, tf.Tensor>>,
): tf.Tensor1D {
  return tf.tidy(() => {
    const sums = Object.entries(own).flatMap(([name, a]): tf.Tensor[] => {
      const b = other[name];
      const left = tf.cast(a, 'float32');
      if (!b || b.shape.join() !== a.shape.join()) return [tf.scalar(Number.POSITIVE_INFINITY), sumOfSquares(left)];
      return [tf.tidy(() => sumOfSquares(tf.sub(left, tf.cast(b, 'float32')))), sumOfSquares(left)];
    });
    return tf.concat(sums.map((sum) => tf.reshape(sum, [1]))) as tf.Tensor1D;
  });
}

function sumOfSquares(tensor: tf.Tensor): tf.Scalar {
  return tf.tidy(() => tf.sum(tf.square(tensor)) as tf.Scalar);
}

/** The largest relative difference of {@link differenceOf}'s pairs, and frees it; undefined where the first of them are no finite numbers. */
export async function readDifference(numbers: tf.Tensor1D): Promise<number | undefined> {
  const sums = await numbers.data();
  numbers.dispose();
  let [total, largest] = [0, 0];
  for (let at = 1; at < sums.length; at += 2) total += sums[at] as number;
  if (!Number.isFinite(total)) return undefined;
  for (let at = 0; at < sums.length; at += 2) {
    const difference = Math.sqrt(sums[at] as number);
    if (difference <= UNSEEN * Math.sqrt(total)) continue;
    const relative = difference / Math.sqrt(sums[at + 1] as number);
    // Also where it is no number.
    if (!(relative <= largest)) largest = Number.isNaN(relative) ? Number.POSITIVE_INFINITY : relative;
  }
  return largest;
}
