// How stored matrices hold their numbers: GGUF's types, numbered as in assembly/model/decode.ts.
import { HipError } from '@hip/mask-search';

/** Values and bytes of a block. */
interface BlockForm {
  readonly code: number;
  readonly values: number;
  readonly bytes: number;
}

export const WEIGHT_TYPES = {
  F32: { code: 0, values: 1, bytes: 4 },
  F16: { code: 1, values: 1, bytes: 2 },
  BF16: { code: 2, values: 1, bytes: 2 },
  Q8_0: { code: 3, values: 32, bytes: 34 },
  Q4_0: { code: 4, values: 32, bytes: 18 },
  Q4_1: { code: 5, values: 32, bytes: 20 },
  Q5_0: { code: 6, values: 32, bytes: 22 },
  Q5_1: { code: 7, values: 32, bytes: 24 },
  Q4_K: { code: 8, values: 256, bytes: 144 },
  Q5_K: { code: 9, values: 256, bytes: 176 },
  Q6_K: { code: 10, values: 256, bytes: 210 },
} as const satisfies Record<string, BlockForm>;

/** Number formats of a {@link StoredMatrix}: floats, and GGUF's blocks of 32 or 256 values. */
export type WeightType = keyof typeof WEIGHT_TYPES;

/** @throws HipError `unsupported` for other types, `invalid-shape` unless rows are whole blocks */
export function blockForm(type: WeightType, columns: number): BlockForm & { readonly rowBytes: number } {
  if (!Object.hasOwn(WEIGHT_TYPES, type)) {
    const message = `type is ${String(type)}: give one of ${Object.keys(WEIGHT_TYPES).join(', ')}`;
    throw new HipError('unsupported', message, { name: 'type', value: type });
  }
  const form = WEIGHT_TYPES[type];
  if (columns % form.values !== 0) {
    const message = `columns is ${columns}: ${type} stores ${form.values} values a block, give a multiple, or another type`;
    throw new HipError('invalid-shape', message, { name: 'columns', value: columns, multiple: form.values });
  }
  return { ...form, rowBytes: (columns / form.values) * form.bytes };
}
