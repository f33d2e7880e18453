// Tensors as they are stored: bytes, their type, and ranges of rows.
import { CheckpointError } from '../errors.ts';
import type { GgufDtype } from '../gguf/types.ts';
import type { SafetensorsDtype } from '../safetensors/dtypes.ts';

/** Element or block type of a stored tensor, of either format; what both have (`F32`, `BF16`, `I8`) means the same. */
export type StoredDtype = SafetensorsDtype | GgufDtype;

/** What a tensor takes where it is stored. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** A tensor as it is stored. */
export interface RawTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  /** Little endian; of block types every row is a whole number of blocks. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Options of reading raw. */
export interface ReadRawOptions {
  /** Rows (of the outermost axis) begin … end − 1 only. @defaultValue all */
  readonly rows?: readonly [begin: number, end: number] | undefined;
  /** Room that may be filled with them: see `ByteSource.read`. @defaultValue memory of their own */
  readonly into?: Uint8Array<ArrayBuffer> | undefined;
}

/** Bytes of a range of rows, relative to the tensor's first. @throws CheckpointError `invalid-shape` for rows that are not there */
export function rowRange(
  tensor: { readonly name: string; readonly shape: readonly number[]; readonly byteLength: number },
  rows: ReadRawOptions['rows'],
): { readonly shape: readonly number[]; readonly begin: number; readonly byteLength: number } {
  if (rows === undefined) return { shape: tensor.shape, begin: 0, byteLength: tensor.byteLength };
  const [first, end] = rows;
  const [total = 1, ...rest] = tensor.shape;
  if (!(Number.isInteger(first) && Number.isInteger(end) && first >= 0 && first <= end && end <= total)) {
    const message = `tensor ${tensor.name} [${tensor.shape.join(', ')}] has no rows ${first} … ${end - 1}`;
    throw new CheckpointError('invalid-shape', message, { tensor: tensor.name, shape: tensor.shape, rows });
  }
  const rowBytes = tensor.byteLength / Math.max(1, total);
  return { shape: [end - first, ...rest], begin: first * rowBytes, byteLength: (end - first) * rowBytes };
}
