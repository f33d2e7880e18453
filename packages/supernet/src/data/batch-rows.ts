// Some examples of a batch.
import type { HostArray, HostBatch } from './dataset.ts';

/** Some examples of a batch of text. */
export function batchRows(batch: HostBatch, indices: readonly number[]): HostBatch {
  const pick = (data: Int32Array, width: number): Int32Array => {
    const picked = new Int32Array(indices.length * width);
    for (const [row, index] of indices.entries())
      picked.set(data.subarray(index * width, (index + 1) * width), row * width);
    return picked;
  };
  const part = ({ shape, data }: HostArray<Int32Array>): HostArray<Int32Array> => {
    const [, columns] = shape as [number, number];
    return { shape: [indices.length, columns], data: pick(data, columns) };
  };
  const { inputIds, attentionMask, tokenTypeIds, labels, values, size } = batch;
  return {
    size: indices.length,
    labels: pick(labels, labels.length / size),
    ...(values && { values: { shape: [indices.length, values.shape[1] as number], data: floatRows(values, indices) } }),
    ...(inputIds && { inputIds: part(inputIds) }),
    ...(attentionMask && { attentionMask: part(attentionMask) }),
    ...(tokenTypeIds && { tokenTypeIds: part(tokenTypeIds) }),
  };
}

function floatRows({ shape, data }: HostArray<Float32Array>, indices: readonly number[]): Float32Array {
  const [, width = 1] = shape;
  const picked = new Float32Array(indices.length * width);
  for (const [row, index] of indices.entries())
    picked.set(data.subarray(index * width, (index + 1) * width), row * width);
  return picked;
}
