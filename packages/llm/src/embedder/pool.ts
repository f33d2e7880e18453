// A text's hidden states as one vector.
import type { Pooling } from './types.ts';

/** What sentence-transformers divides by where a vector is shorter. */
const SHORTEST = 1e-12;

/** @param rows - [tokens, width] */
export function poolRows(rows: Float32Array, width: number, pooling: Pooling, normalize: boolean): Float32Array {
  const sums = new Float64Array(width);
  const taken = pooling === 'first' ? width : rows.length;
  for (let at = 0; at < taken; at += width) {
    for (let i = 0; i < width; i++) sums[i] = (sums[i] as number) + (rows[at + i] as number);
  }
  const count = taken / width;
  const length = normalize ? Math.max(Math.hypot(...sums) / count, SHORTEST) : 1;
  return Float32Array.from(sums, (sum) => sum / count / length);
}
