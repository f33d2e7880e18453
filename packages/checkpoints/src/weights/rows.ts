// Rows of a stored tensor that make up a slot: a range of a fused tensor, and rows that ggml stores in rotation pairs.
import type { TensorBinding } from '../families/family.ts';

/** Whether the slot is the stored tensor's rows one by one. */
export function isWhole({ rows, paired }: TensorBinding): boolean {
  return rows === undefined && paired === undefined;
}

/** The stored row of a slot's row, counted from the slot's first. Within a head of d rows, row t·d/2 + i is stored as 2·i + t. */
export function pairedRow(row: number, headSize: number): number {
  const inHead = row % headSize;
  const half = headSize / 2;
  return row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
}

/**
 * A slot's rows out of the stored tensor's, in the slot's order.
 *
 * @param width - elements (or bytes) of a row
 * @param count - the slot's rows
 */
export function takeRows<Data extends Float32Array | Uint8Array<ArrayBuffer>>(
  data: Data,
  width: number,
  binding: TensorBinding,
  count: number,
): Data {
  const start = binding.rows?.start ?? 0;
  const { paired } = binding;
  if (paired === undefined) return data.subarray(start * width, (start + count) * width) as Data;
  const out = data.slice(0, count * width) as Data;
  for (let row = 0; row < count; row++) {
    const from = (start + pairedRow(row, paired)) * width;
    out.set(data.subarray(from, from + width), row * width);
  }
  return out;
}
