// Labelled images in memory: CIFAR and IDX files, normalisation as the checkpoint asks, seeded crops and flips for training.
import { SupernetError } from '../errors.ts';
import { SeededRandom, deriveSeed, shuffledIndices } from '../train/random.ts';
import type { Dataset, HostBatch } from './dataset.ts';

/** Images of one size, channel planes [N, C, H, W] of bytes, and their labels. */
export interface ImageSet {
  readonly pixels: Uint8Array;
  readonly labels: Int32Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** Mean and deviation per channel in units of 0…1, as preprocessor_config.json gives them. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

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
 * CIFAR-10 (or, with two label bytes, CIFAR-100) binary records: label bytes, then 3,072 planar RGB bytes of 32×32 pixels.
 *
 * @param options.labelBytes 1 (CIFAR-10) or 2 (CIFAR-100: the second, fine label is used). @defaultValue 1
 * @throws SupernetError `invalid-data` when the size is no multiple of a record
 */
export function readCifar(bytes: Uint8Array, options: { readonly labelBytes?: 1 | 2 | undefined } = {}): ImageSet {
  const { labelBytes = 1 } = options;
  const size = 3 * 32 * 32;
  const record = labelBytes + size;
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw new SupernetError(
      'invalid-data',
      `${bytes.length} bytes are no whole number of ${record}-byte CIFAR records`,
      {
        bytes: bytes.length,
        record,
      },
    );
  }
  const count = bytes.length / record;
  const pixels = new Uint8Array(count * size);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = bytes[i * record + labelBytes - 1] as number;
    pixels.set(bytes.subarray(i * record + labelBytes, (i + 1) * record), i * size);
  }
  return { pixels, labels, channels: 3, height: 32, width: 32 };
}

/**
 * IDX files (MNIST): images [N, H, W] of bytes and labels [N].
 *
 * @throws SupernetError `invalid-data` for another type, rank or a truncated file
 */
export function readIdx(images: Uint8Array, labels: Uint8Array): ImageSet {
  const [count, height, width] = idxShape(images, 3, 'images') as [number, number, number];
  const [labelCount] = idxShape(labels, 1, 'labels') as [number];
  if (count !== labelCount) {
    throw new SupernetError('invalid-data', `${count} images and ${labelCount} labels`, {
      images: count,
      labels: labelCount,
    });
  }
  return { pixels: images.slice(16), labels: Int32Array.from(labels.subarray(8)), channels: 1, height, width };
}

function idxShape(bytes: Uint8Array, rank: number, what: string): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + 4 * rank;
  const magic = bytes.length >= 4 ? view.getUint32(0) : 0;
  if (magic !== 0x800 + rank) {
    throw new SupernetError(
      'invalid-data',
      `IDX ${what}: magic number 0x${magic.toString(16)}, expected 0x${(0x800 + rank).toString(16)} (bytes, rank ${rank})`,
      { magic },
    );
  }
  const shape = Array.from({ length: rank }, (_, axis) => (bytes.length >= start ? view.getUint32(4 + 4 * axis) : 0));
  const size = start + shape.reduce((product, extent) => product * extent, 1);
  if (size !== bytes.length) {
    throw new SupernetError(
      'invalid-data',
      `IDX ${what} [${shape.join(', ')}] needs ${size} bytes, has ${bytes.length}`,
      { shape, size },
    );
  }
  return shape;
}

/** Normalisation of a checkpoint's preprocessor_config.json. */
export function normalizationOf(config: Readonly<Record<string, unknown>>): Normalization | undefined {
  if (config['do_normalize'] === false) return { mean: filled(3, 0), std: filled(3, 1) };
  const [mean, std] = [config['image_mean'], config['image_std']];
  if (!Array.isArray(mean) || !Array.isArray(std)) return undefined;
  return { mean: mean.map(Number), std: std.map(Number) };
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

/** What each pixel along one side reads: two source pixels and the share of the second. */
interface Taps {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly share: Float32Array;
}

/** A rectangle stretched to the whole image. */
interface Crop {
  readonly rows: Taps;
  readonly columns: Taps;
}

/** A rectangle of `leastArea`…1 of the area; a side that would be longer than the image's is cut to it. */
function randomCrop(height: number, width: number, leastArea: number, mirror: boolean, random: SeededRandom): Crop {
  const area = leastArea + (1 - leastArea) * random.next();
  const ratio = (4 / 3) ** (2 * random.next() - 1);
  const side = (share: number, extent: number, isMirrored: boolean): Taps => {
    const length = Math.min(1, Math.sqrt(share)) * extent;
    return taps(random.next() * (extent - length), length, extent, isMirrored);
  };
  return { rows: side(area / ratio, height, false), columns: side(area * ratio, width, mirror) };
}

/** Bilinear taps of `length` pixels from `start`, stretched to `extent`; pixel centres at halves, edges repeated. */
function taps(start: number, length: number, extent: number, isMirrored: boolean): Taps {
  const [first, second] = [new Int32Array(extent), new Int32Array(extent)];
  const share = new Float32Array(extent);
  for (let i = 0; i < extent; i++) {
    const centre = ((isMirrored ? extent - 1 - i : i) + 0.5) * (length / extent);
    const at = Math.min(extent - 1, Math.max(0, start + centre - 0.5));
    first[i] = Math.floor(at);
    second[i] = Math.min(extent - 1, Math.floor(at) + 1);
    share[i] = at - Math.floor(at);
  }
  return { first, second, share };
}

/** A channel plane of bytes through a table, cropped and stretched into `out` of the same size. */
function stretch(plane: Uint8Array, table: Float32Array, { rows, columns }: Crop, out: Float32Array): void {
  const width = columns.first.length;
  for (let y = 0; y < rows.first.length; y++) {
    const [upper, lower] = [(rows.first[y] as number) * width, (rows.second[y] as number) * width];
    const down = rows.share[y] as number;
    for (let x = 0; x < width; x++) {
      const [left, right] = [columns.first[x] as number, columns.second[x] as number];
      const across = columns.share[x] as number;
      const value = (base: number) =>
        (1 - across) * (table[plane[base + left] as number] as number) +
        across * (table[plane[base + right] as number] as number);
      out[y * width + x] = (1 - down) * value(upper) + down * value(lower);
    }
  }
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

function filled(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value);
}
