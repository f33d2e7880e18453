// Features as small whole numbers: what trees need to find the best split in one pass.
import type { Table } from '../core/table.ts';

/** Every column cut into at most 256 bins; exact where it has no more distinct values. */
export interface Bins {
  readonly rows: number;
  readonly columns: number;
  /** Column after column. */
  readonly codes: Uint8Array;
  /** Per column: code c holds values ≤ edges[c] (and > edges[c − 1]); one fewer than bins. */
  readonly edges: readonly Float64Array[];
  /** Columns with more than one value. */
  readonly varying: Int32Array;
}

const MAX_BINS = 256;

function edgesOf(sorted: Float64Array): Float64Array {
  const distinct: number[] = [];
  for (const value of sorted) if (distinct.length === 0 || value > distinct.at(-1)!) distinct.push(value);
  if (distinct.length <= MAX_BINS)
    return Float64Array.from({ length: distinct.length - 1 }, (_, i) => middle(distinct[i]!, distinct[i + 1]!));
  const edges: number[] = [];
  for (let bin = 1; bin < MAX_BINS; bin++) {
    const at = Math.floor((bin * sorted.length) / MAX_BINS);
    if (sorted[at]! > sorted[at - 1]!) edges.push(middle(sorted[at - 1]!, sorted[at]!));
  }
  return Float64Array.from(new Set(edges));
}

/** Between two values; the lower where rounding would give the upper. */
function middle(low: number, high: number): number {
  const value = low + (high - low) / 2;
  return value < high ? value : low;
}

export function binsOf({ rows, columns, data }: Table): Bins {
  const codes = new Uint8Array(rows * columns);
  const edges: Float64Array[] = [];
  for (let k = 0; k < columns; k++) {
    const values = Float64Array.from({ length: rows }, (_, i) => data[i * columns + k]!);
    const cuts = edgesOf(values.toSorted());
    edges.push(cuts);
    for (let i = 0; i < rows; i++) {
      let low = 0;
      let high = cuts.length;
      while (low < high) {
        const at = (low + high) >> 1;
        if (values[i]! <= cuts[at]!) high = at;
        else low = at + 1;
      }
      codes[k * rows + i] = low;
    }
  }
  return { rows, columns, codes, edges, varying: Int32Array.from(edges.keys()).filter((k) => edges[k]!.length > 0) };
}
