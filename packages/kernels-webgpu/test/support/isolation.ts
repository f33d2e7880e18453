// What a row must not notice: tensors in which one vector is NaN or infinite, and which rows see it.
import fc from 'fast-check';
import { attendedKeys, type AttentionShape, type BlockMask } from '@hip/mask-search';

/** What no row but those that see it may notice. */
export const oddNumbers = fc.constantFrom(Number.NaN, Infinity, -Infinity);

/** A copy in which vector `index` (of `width` numbers) holds `value` at every third place. */
export function spoiled(values: Float32Array, index: number, width: number, value: number): Float32Array {
  const copy = new Float32Array(values);
  for (let i = index * width; i < (index + 1) * width; i += 3) copy[i] = value;
  return copy;
}

/** Rows (batch, row, head as one index) that attend to a key of one kv head. */
export function seers(mask: BlockMask, shape: AttentionShape, batch: number, key: number, kvHead: number): Set<number> {
  const { queries, heads, kvHeads } = shape;
  const group = heads / kvHeads;
  const rows = new Set<number>();
  for (let row = 0; row < queries; row++)
    for (let head = kvHead * group; head < (kvHead + 1) * group; head++)
      for (const seen of attendedKeys(mask, shape, batch, head, row))
        if (seen === key) rows.add((batch * queries + row) * heads + head);
  return rows;
}

/** Vectors that moved though nothing touched them, and touched ones that are finite all the same. */
export interface Leaks {
  readonly moved: readonly number[];
  readonly silent: readonly number[];
}

export const NO_LEAKS: Leaks = { moved: [], silent: [] };

/**
 * Vectors outside `touched` should be the same bit for bit, and each of those inside hold a number that is not finite.
 *
 * @param everyOne whether that must be so: a key of −∞ weighs nothing
 */
export function leaks(
  actual: Float32Array,
  clean: Float32Array,
  width: number,
  touched: ReadonlySet<number>,
  everyOne = true,
): Leaks {
  const moved: number[] = [];
  const silent: number[] = [];
  for (let i = 0; i < clean.length / width; i++) {
    const [a, b] = [actual, clean].map((all) => all.subarray(i * width, (i + 1) * width)) as [
      Float32Array,
      Float32Array,
    ];
    if (!touched.has(i)) {
      if (!a.every((x, j) => Object.is(x, b[j]))) moved.push(i);
    } else if (everyOne && a.every(Number.isFinite)) silent.push(i);
  }
  return { moved, silent };
}
