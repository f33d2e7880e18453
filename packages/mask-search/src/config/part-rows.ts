// The rows of each part of a call, in the tensors that hold those of all.

/** Tensors of a call: q and out [rows, heads, headDim], k and v [rows, kvHeads, headDim]. */
export interface RowTensors {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  /** To be written. */
  readonly out: Float32Array;
}

/**
 * The parts of a call from the first row to the last, each with its rows as views.
 *
 * @param parts as {@link attentionParts} gives them: together they have as many rows as the tensors
 * @example
 * ```ts
 * import { partRows } from '@hip/mask-search';
 * const of = (length: number) => new Float32Array(length);
 * const call = { q: of(3 * 8), k: of(3 * 4), v: of(3 * 4), out: of(3 * 8) };
 * const parts = [...partRows([{ rows: 2 }, { rows: 1 }], { heads: 2, kvHeads: 1, headDim: 4 }, call)];
 * console.log(parts.map(({ rows, q, k }) => [rows, q.length, k.length])); // => [ [ 2, 16, 8 ], [ 1, 8, 4 ] ]
 * ```
 */
export function* partRows<Part extends { readonly rows: number }>(
  parts: readonly Part[],
  { heads, kvHeads, headDim }: { readonly heads: number; readonly kvHeads: number; readonly headDim: number },
  { q, k, v, out }: RowTensors,
): Generator<Part & RowTensors> {
  let at = 0;
  for (const part of parts) {
    const end = at + part.rows;
    const own = (of: Float32Array, count: number) => of.subarray(at * count * headDim, end * count * headDim);
    yield { ...part, q: own(q, heads), k: own(k, kvHeads), v: own(v, kvHeads), out: own(out, heads) };
    at = end;
  }
}
