// A random look at a batch of images that is on the device already: what a teacher sees of the pictures its student sees.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import type { InputView } from '../train/teacher.ts';
import { SeededRandom } from '../train/random.ts';

/**
 * A view that moves every image of a batch by up to `shift` pixels (the same for all of them, zeros where nothing was: the
 * mean of normalised pixels) and mirrors the batch half of the time. For members of an ensemble teacher
 * (`teacher: [{ model, view: imageView() }, …]`): a vision transformer's mean over such views is more often right than
 * the model itself (test-time augmentation, Krizhevsky 2012), and a student can learn the mean.
 *
 * @throws SupernetError `invalid-option` for a shift that is no whole number ≥ 0; the view, `invalid-data` without pixels
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { imageView } from '@instatune/supernet';
 *
 * await tf.setBackend('cpu');
 * const view = imageView({ shift: 2 });
 * const seen = view({ pixelValues: tf.ones([2, 3, 32, 32]) }, 1);
 * console.log(seen.pixelValues?.shape.join()); // => 2,3,32,32
 * ```
 */
export function imageView(options: { readonly shift?: number; readonly flip?: boolean } = {}): InputView {
  const { shift = 3, flip = true } = options;
  if (!Number.isInteger(shift) || shift < 0) {
    throw new SupernetError('invalid-option', `shift = ${shift}: expected a whole number of pixels ≥ 0`, { shift });
  }
  return (inputs, seed) => {
    const { pixelValues } = inputs;
    if (!pixelValues) throw new SupernetError('invalid-data', 'imageView needs a batch with pixelValues');
    const random = new SeededRandom(seed);
    const [dy, dx] = [random.integer(2 * shift + 1), random.integer(2 * shift + 1)];
    const isMirrored = flip && random.next() < 0.5;
    return {
      ...inputs,
      pixelValues: tf.tidy(() => {
        const still: [number, number] = [0, 0];
        const room: [number, number] = [shift, shift];
        const moved = tf.slice(tf.pad(pixelValues, [still, still, room, room]), [0, 0, dy, dx], pixelValues.shape);
        return isMirrored ? tf.reverse(moved, 3) : moved;
      }),
    };
  };
}
