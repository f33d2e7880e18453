// Checks of what callers pass in: shapes that fit together, lengths that fit the shapes, finite numbers.
import type { AttentionShape } from './block-mask.ts';
import { HipError } from './errors.ts';

/** Numbers in row-major order, float32 or float64. */
export type FloatArray = Float32Array | Float64Array;

/** @throws HipError `invalid-shape` */
export function checkShape(shape: AttentionShape): void {
  for (const [name, value] of Object.entries(shape) as [keyof AttentionShape, number][]) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
    }
  }
  const { heads, kvHeads } = shape;
  if (heads % kvHeads !== 0) {
    throw new HipError('invalid-shape', `heads is ${heads}, kvHeads ${kvHeads}: heads must be a multiple of kvHeads`, { heads, kvHeads });
  }
}

/** Elements of q, and of k or v, in a shape. */
export function sizes({ batch, queries, keys, heads, kvHeads, headDim }: AttentionShape): { readonly query: number; readonly key: number } {
  return { query: batch * queries * heads * headDim, key: batch * keys * kvHeads * headDim };
}

/** @throws HipError `invalid-shape` on another length, `non-finite` on NaN or ±Infinity, naming the place */
export function checkTensor(name: string, values: FloatArray, length: number): void {
  if (values.length !== length) {
    throw new HipError('invalid-shape', `${name} holds ${values.length} numbers: its shape needs ${length}`, { name, length: values.length, expected: length });
  }
  for (let i = 0; i < length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new HipError('non-finite', `${name}[${i}] is ${values[i]}: attention needs finite inputs`, { name, index: i, value: values[i] });
    }
  }
}

/** Absolute position of a query row: queries are the last rows of the sequence. */
export function positionOf(row: number, { queries, keys }: AttentionShape): number {
  return row + keys - queries;
}
