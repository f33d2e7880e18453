// Labelled images in memory as a dataset: normalised, and varied for training by seeded shifts, flips, cut-outs and blends.
import { SupernetError } from '../errors.ts';
import { SeededRandom, deriveSeed, shuffledIndices } from '../random.ts';
import type { Dataset, HostBatch } from './dataset.ts';
import { randomCrop, stretch } from './image-crops.ts';
import { filled } from './image-files.ts';
import type { ImageSet, Normalization } from './image-files.ts';

/** Options of {@link imageClassification}. */
export interface ImageOptions {
  /** @defaultValue mean 0.5, std 0.5 (the ViT default) */
  readonly normalize?: Normalization | undefined;
  /** Applied to training batches only. @defaultValue none */
  readonly augment?:
    | {
        /** Pixels a random crop may shift by, zero padded; not beside `leastArea`. @defaultValue 0 */
        readonly shift?: number | undefined;
        /**
         * Random resized crops (Szegedy 2015): a rectangle of this share of the area to all of it, 3:4 to 4:3 as wide as high
         * against the image, stretched to the whole image (bilinear). @defaultValue 1 (off)
         */
        readonly leastArea?: number | undefined;
        /** Mirror half of the images. @defaultValue false */
        readonly flip?: boolean | undefined;
        /**
         * Blend each image with another one of its batch, λ ~ Beta(α, α) of this α in (0, 1], and share its label likewise
         * (mixup, Zhang 2018). @defaultValue 0 (off)
         */
        readonly mixup?: number | undefined;
      }
    | undefined;
}

/**
 * An image classification dataset: pixels/255, minus mean, over std.
 *
 * @throws SupernetError `invalid-data` when counts or channels do not fit, `invalid-option` for a
 * mixup or leastArea outside 0…1, a shift that is no count of pixels, a std of 0
 *
 * @example
 * ```ts
 * import { imageClassification, readCifar } from '@instatune/supernet';
 *
 * const images = readCifar(new Uint8Array(4 * 3073)); // four black aeroplanes
 * const train = imageClassification(images, { augment: { leastArea: 0.5, flip: true, mixup: 0.8 } });
 * const { pixelValues, mixed } = await train.batch([0, 3], { training: true, seed: 1 });
 * console.log(pixelValues?.shape.join(), mixed?.share.length); // => 2,3,32,32 2
 * ```
 */
export function imageClassification(images: ImageSet, options: ImageOptions = {}): Dataset {
  const { pixels, labels, channels, height, width } = images;
  const plane = height * width;
  if (pixels.length !== labels.length * channels * plane || labels.length === 0) {
    throw new SupernetError(
      'invalid-data',
      `${labels.length} labels for ${pixels.length} bytes of ${channels}×${height}×${width} images`,
      {
        labels: labels.length,
        bytes: pixels.length,
      },
    );
  }
  const { mean, std } = options.normalize ?? { mean: filled(channels, 0.5), std: filled(channels, 0.5) };
  if (mean.length !== channels || std.length !== channels) {
    throw new SupernetError('invalid-data', `normalisation of ${mean.length} channels for images of ${channels}`, {
      mean,
      std,
    });
  }
  if (!mean.every(Number.isFinite) || !std.every((value) => value > 0 && value < Infinity)) {
    throw new SupernetError(
      'invalid-option',
      `normalisation by mean ${mean.join(', ')} and std ${std.join(', ')}: expected numbers, std > 0`,
      {
        mean,
        std,
      },
    );
  }
  const { shift = 0, flip = false, mixup = 0, leastArea = 1 } = options.augment ?? {};
  if (!Number.isInteger(shift) || shift < 0) {
    throw new SupernetError('invalid-option', `shift = ${shift}: expected a whole number of pixels ≥ 0`, { shift });
  }
  if (!(leastArea > 0 && leastArea <= 1)) {
    throw new SupernetError('invalid-option', `leastArea = ${leastArea}: expected a share 0 < leastArea ≤ 1`, {
      leastArea,
    });
  }
  if (leastArea < 1 && shift > 0) {
    throw new SupernetError(
      'invalid-option',
      `shift = ${shift} and leastArea = ${leastArea}: both place a crop, give one of them`,
      { shift, leastArea },
    );
  }
  if (!(mixup >= 0 && mixup <= 1)) {
    throw new SupernetError('invalid-option', `mixup = ${mixup}: expected a number 0…1 (0 is off, 1 blends evenly)`, {
      mixup,
    });
  }
  // One table per channel: 256 bytes → normalised floats.
  const tables = mean.map((m, c) =>
    Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - m) / (std[c] as number)),
  );
  return {
    length: labels.length,
    batch: (indices, context = {}) => {
      const data = new Float32Array(indices.length * channels * plane);
      for (const [row, index] of indices.entries()) {
        if (!(index >= 0 && index < labels.length)) {
          throw new SupernetError('invalid-data', `image ${index} of ${labels.length}`, { index });
        }
        const random = new SeededRandom(deriveSeed(context.seed ?? 0, row));
        const moves = context.training === true;
        const dx = moves ? random.integer(2 * shift + 1) - shift : 0;
        const dy = moves ? random.integer(2 * shift + 1) - shift : 0;
        const mirror = moves && flip && random.next() < 0.5;
        const crop = moves && leastArea < 1 ? randomCrop(height, width, leastArea, mirror, random) : undefined;
        for (let c = 0; c < channels; c++) {
          const table = tables[c] as Float32Array;
          const from = (index * channels + c) * plane;
          const to = (row * channels + c) * plane;
          if (crop) {
            stretch(pixels.subarray(from, from + plane), table, crop, data.subarray(to, to + plane));
            continue;
          }
          for (let y = 0; y < height; y++) {
            for (let x = 0; x < width; x++) {
              const sx = (mirror ? width - 1 - x : x) + dx;
              const sy = y + dy;
              const inside = sx >= 0 && sx < width && sy >= 0 && sy < height;
              data[to + y * width + x] = table[inside ? (pixels[from + sy * width + sx] as number) : 0] as number;
            }
          }
        }
      }
      const own = Int32Array.from(indices, (index) => labels[index] as number);
      const mixed = context.training === true && mixup > 0 ? blend(data, own, mixup, context.seed ?? 0) : undefined;
      return {
        size: indices.length,
        pixelValues: { shape: [indices.length, channels, height, width], data },
        labels: own,
        ...(mixed && { mixed }),
      };
    },
  };
}

/** Blends every row of `data` with another one, in place. */
function blend(data: Float32Array, labels: Int32Array, alpha: number, seed: number): NonNullable<HostBatch['mixed']> {
  const rows = labels.length;
  const size = data.length / rows;
  const random = new SeededRandom(deriveSeed(seed, 0x6d6978));
  const partner = shuffledIndices(rows, random);
  const share = Float32Array.from({ length: rows }, () => symmetricBeta(alpha, random));
  const unmixed = data.slice();
  for (let row = 0; row < rows; row++) {
    const own = share[row] as number;
    const other = (partner[row] as number) * size;
    for (let i = 0; i < size; i++) {
      data[row * size + i] = own * (unmixed[row * size + i] as number) + (1 - own) * (unmixed[other + i] as number);
    }
  }
  return { labels: Int32Array.from(partner, (row) => labels[row] as number), share };
}

/** A draw from Beta(α, α) for 0 < α ≤ 1 (Jöhnk 1964). */
function symmetricBeta(alpha: number, random: SeededRandom): number {
  for (;;) {
    // In logarithms: powers of 1/α leave the range of numbers when α is small. 1 − u is never 0.
    const x = Math.log(1 - random.next());
    const y = Math.log(1 - random.next());
    if (Math.exp(x / alpha) + Math.exp(y / alpha) <= 1) return 1 / (1 + Math.exp((y - x) / alpha));
  }
}
