// Checks of what callers pass in: shapes that fit together, lengths that fit the shapes, finite numbers, positions in order.
import type { AttentionShape } from './block-mask.ts';
import { HipError } from './errors.ts';

/** Numbers in row-major order, float32 or float64. */
export type FloatArray = Float32Array | Float64Array;

/** Absolute position of a query row. */
export type PositionOf = (row: number) => number;

/** @throws HipError `invalid-shape` */
export function checkShape(shape: AttentionShape): void {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  for (const [name, value] of Object.entries({ batch, queries, keys, heads, kvHeads, headDim })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
    }
  }
  if (heads % kvHeads !== 0) {
    const message = `heads is ${heads}, kvHeads ${kvHeads}: heads must be a multiple of kvHeads`;
    throw new HipError('invalid-shape', message, { heads, kvHeads });
  }
}

/** Elements of q, and of k or v, in a shape. */
export function sizes(shape: AttentionShape): { readonly query: number; readonly key: number } {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  return { query: batch * queries * heads * headDim, key: batch * keys * kvHeads * headDim };
}

/** @throws HipError `invalid-shape` on another length, `non-finite` on NaN or ±Infinity, naming the place */
export function checkTensor(name: string, values: FloatArray, length: number): void {
  if (values.length !== length) {
    const message = `${name} holds ${values.length} numbers: its shape needs ${length}`;
    throw new HipError('invalid-shape', message, { name, length: values.length, expected: length });
  }
  for (let i = 0; i < length; i++) {
    if (!Number.isFinite(values[i])) {
      const message = `${name}[${i}] is ${values[i]}: attention needs finite inputs`;
      throw new HipError('non-finite', message, { name, index: i, value: values[i] });
    }
  }
}

/** q [B, Tq, H, d] and k, v [B, Tk, Hkv, d] against their shape. @throws HipError `invalid-shape`, `non-finite` */
export function checkInputs(
  shape: AttentionShape,
  tensors: { readonly q: FloatArray; readonly k: FloatArray; readonly v?: FloatArray },
): void {
  checkShape(shape);
  const size = sizes(shape);
  checkTensor('q', tensors.q, size.query);
  checkTensor('k', tensors.k, size.key);
  if (tensors.v) checkTensor('v', tensors.v, size.key);
}

/**
 * Where each row stands: row + keys − queries (the queries are the last rows of the sequence) unless positions are given.
 *
 * @param positions [queries] integers, not decreasing, shared by the batch; negative rows see no key
 * @throws HipError `invalid-shape`
 */
export function positionsOf(shape: AttentionShape, positions?: ArrayLike<number>): PositionOf {
  const { queries, keys } = shape;
  if (positions === undefined) return (row) => row + keys - queries;
  if (positions.length !== queries) {
    const message = `positions holds ${positions.length} numbers: give one for each of the ${queries} query rows`;
    throw new HipError('invalid-shape', message, { length: positions.length, expected: queries });
  }
  for (let row = 0; row < queries; row++) {
    if (!Number.isSafeInteger(positions[row]) || (row > 0 && positions[row]! < positions[row - 1]!)) {
      const message = `positions[${row}] is ${positions[row]}: give integers that do not decrease`;
      throw new HipError('invalid-shape', message, { index: row, value: positions[row] });
    }
  }
  return (row) => positions[row]!;
}

/** Rows of a metric. @throws HipError `invalid-shape` */
export function checkRows(rows: readonly number[], queries: number): void {
  const index = rows.findIndex((row) => !(Number.isSafeInteger(row) && row >= 0 && row < queries));
  if (index < 0) return;
  const message = `rows[${index}] is ${rows[index]}: give integers from 0 to ${queries - 1}`;
  throw new HipError('invalid-shape', message, { name: 'rows', index, value: rows[index] });
}

/** Keys a row at `position` may see: [0, returned). */
export function visibleKeys(position: number, keys: number, causal: boolean): number {
  return causal ? Math.max(0, Math.min(keys, position + 1)) : keys;
}
