// Some examples of a batch.
import type { HostArray, HostBatch } from './dataset.ts';

/** Some examples of a batch of text. */
export function batchRows(batch: HostBatch, indices: readonly number[]): HostBatch {
  const { inputIds, attentionMask, tokenTypeIds, labels, values, size } = batch;
  return {
    size: indices.length,
    labels: rows(labels, labels.length / size, indices),
    ...(values && { values: part(values, indices) }),
    ...(inputIds && { inputIds: part(inputIds, indices) }),
    ...(attentionMask && { attentionMask: part(attentionMask, indices) }),
    ...(tokenTypeIds && { tokenTypeIds: part(tokenTypeIds, indices) }),
  };
}

/** Rows of an array [N, columns]. */
function part<T extends Int32Array | Float32Array>(
  { shape, data }: HostArray<T>,
  indices: readonly number[],
): HostArray<T> {
  const columns = shape[1] as number;
  return { shape: [indices.length, columns], data: rows(data, columns, indices) };
}

function rows<T extends Int32Array | Float32Array>(data: T, width: number, indices: readonly number[]): T {
  // An array's constructor makes one of its own kind, which its type does not say.
  const picked = new (data.constructor as new (length: number) => T)(indices.length * width);
  for (const [row, index] of indices.entries())
    picked.set(data.subarray(index * width, (index + 1) * width), row * width);
  return picked;
}
