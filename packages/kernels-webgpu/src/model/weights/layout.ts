// Where a stored row's bytes lie on the GPU: each field of its blocks together, so that lanes read whole 16-byte words of one kind.
import { blockForm, type WeightType } from './types.ts';

/** A row on the GPU. */
export interface RowLayout {
  readonly type: WeightType;
  readonly columns: number;
  /** Blocks of a row. */
  readonly blocks: number;
  /** Bytes of a row in a file. */
  readonly fileBytes: number;
  /** Bytes of a row on the GPU, a multiple of 16. What is beyond the fields is zero. */
  readonly rowBytes: number;
  /** First byte of each field of {@link WEIGHT_TYPES}; of the widest, 0. */
  readonly fieldAt: readonly number[];
}

/** Kernels read eight values at a time. */
const OCTET = 8;
const WORD = 16;

/**
 * Plans a row. Floats are padded to whole octets.
 *
 * @throws HipError `unsupported`, `invalid-shape`
 */
export function rowLayout(type: WeightType, columns: number): RowLayout {
  const form = blockForm(type, columns);
  const blocks = columns / form.values;
  const fieldAt: number[] = [];
  let end = 0;
  for (const { bytes } of form.fields) {
    fieldAt.push(end);
    end += bytes * blocks;
  }
  const padded = form.values === 1 ? Math.ceil(columns / OCTET) * OCTET * form.bytes : end;
  const rowBytes = Math.ceil(padded / WORD) * WORD;
  return { type, columns, blocks, fileBytes: blocks * form.bytes, rowBytes, fieldAt };
}

/** Whether rows lie on the GPU as they do in files. */
export function liesAsStored({ rowBytes, fileBytes, fieldAt }: RowLayout): boolean {
  return rowBytes === fileBytes && fieldAt.length === 1;
}

/** Rows as files store them → as the GPU holds them. */
export function packRows(layout: RowLayout, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { type, columns, blocks, fileBytes, rowBytes, fieldAt } = layout;
  const rows = bytes.byteLength / fileBytes;
  const out = new Uint8Array(rows * rowBytes);
  if (fieldAt.length === 1) {
    for (let row = 0; row < rows; row++)
      out.set(bytes.subarray(row * fileBytes, (row + 1) * fileBytes), row * rowBytes);
    return out;
  }
  // All fields are whole halves; blocks may begin at an odd half of a word.
  const source =
    bytes.byteOffset % 2 === 0
      ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
      : new Uint16Array(bytes.slice().buffer);
  const target = new Uint16Array(out.buffer);
  const form = blockForm(type, columns);
  const blockHalves = form.bytes / 2;
  for (const [index, field] of form.fields.entries()) {
    const halves = field.bytes / 2;
    for (let row = 0; row < rows; row++) {
      let from = (row * fileBytes + field.at) / 2;
      let to = (row * rowBytes + (fieldAt[index] as number)) / 2;
      for (let b = 0; b < blocks; b++, from += blockHalves) {
        for (let i = 0; i < halves; i++) target[to++] = source[from + i] as number;
      }
    }
  }
  return out;
}
