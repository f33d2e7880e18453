// How stored matrices hold their numbers: floats, and GGUF's blocks of 32 or 256 values.
import { HipError } from '../../errors/gpu-errors.ts';

/** A run of bytes of a block, whose like lie together in a row on the GPU. */
interface Field {
  /** First byte in the block as files store it. */
  readonly at: number;
  readonly bytes: number;
}

/** Values and bytes of a block, and its fields in the order in which rows on the GPU hold them: the widest first. */
interface BlockForm {
  readonly values: number;
  readonly bytes: number;
  readonly fields: readonly Field[];
}

const block = (
  values: number,
  bytes: number,
  ...fields: readonly (readonly [at: number, bytes: number])[]
): BlockForm => ({
  values,
  bytes,
  fields: fields.map(([at, size]) => ({ at, bytes: size })),
});

export const WEIGHT_TYPES = {
  F32: block(1, 4, [0, 4]),
  F16: block(1, 2, [0, 2]),
  BF16: block(1, 2, [0, 2]),
  /** 32 int8; scale. */
  Q8_0: block(32, 34, [2, 32], [0, 2]),
  /** Nibbles; scale. */
  Q4_0: block(32, 18, [2, 16], [0, 2]),
  /** Nibbles; scale and minimum. */
  Q4_1: block(32, 20, [4, 16], [0, 4]),
  /** Nibbles; fifth bits; scale. */
  Q5_0: block(32, 22, [6, 16], [2, 4], [0, 2]),
  Q5_1: block(32, 24, [8, 16], [4, 4], [0, 4]),
  /** Nibbles; 6-bit scales and minima; scale and minimum of those. */
  Q4_K: block(256, 144, [16, 128], [4, 12], [0, 4]),
  Q5_K: block(256, 176, [48, 128], [16, 32], [4, 12], [0, 4]),
  /** Nibbles; two more bits; int8 scales; scale of those. */
  Q6_K: block(256, 210, [0, 128], [128, 64], [192, 16], [208, 2]),
} as const satisfies Record<string, BlockForm>;

/** Number formats of a {@link GpuMatrix}, named as GGUF names them. */
export type WeightType = keyof typeof WEIGHT_TYPES;

/** @throws HipError `unsupported` for other types, `invalid-shape` unless rows are whole blocks */
export function blockForm(type: WeightType, columns: number): BlockForm {
  if (!Object.hasOwn(WEIGHT_TYPES, type)) {
    const message = `type is ${type as string}: give one of ${Object.keys(WEIGHT_TYPES).join(', ')}`;
    throw new HipError('unsupported', message, { name: 'type', value: type });
  }
  const form = WEIGHT_TYPES[type];
  if (columns % form.values !== 0) {
    const message = `columns is ${columns}: ${type} stores ${form.values} values a block, give a multiple, or another type`;
    throw new HipError('invalid-shape', message, { name: 'columns', value: columns, multiple: form.values });
  }
  return form;
}
