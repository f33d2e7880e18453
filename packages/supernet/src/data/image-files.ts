// Images as data sets come: CIFAR and IDX files, and the normalisation that a checkpoint asks for.
import { SupernetError } from '../errors.ts';

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

export function filled(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value);
}
