// Where the remainder's blocks lie (docs/specification/hip.md §8.3): pure numbers, the same on every backend.
import type { Remainder } from '../config/remainder.ts';

/** The blocks below a window: `whole` of `size` keys from the sink on, then `tail` ever smaller ones, ending at `end`. */
export interface RemainderGeometry {
  /** First key of the first block. */
  readonly sink: number;
  /** Keys of a base block. */
  readonly block: number;
  /** Keys of a whole block: `block`·2^m, the smallest of which no more than `most` fit. */
  readonly size: number;
  readonly whole: number;
  /** Base blocks after the whole ones, less than size / block. */
  readonly rest: number;
  /** Blocks that cover the rest, one for each 1 of its binary digits, the largest first: size/2, size/4 … `block` keys. */
  readonly tail: number;
  /** One past the last block's last key; the sink where there is no block. */
  readonly end: number;
}

/**
 * Cuts [sink, windowStart) into blocks.
 *
 * @param windowStart of the query block's first row: what lies before it is before every row's window
 * @example
 * ```ts
 * import { remainderGeometry } from '@hip/mask-search';
 * const { size, whole, tail, end } = remainderGeometry(16 + 1000, 16, { block: 64, most: 4 });
 * console.log([size, whole, tail, end]); // => [ 256, 3, 2, 976 ]
 * ```
 */
export function remainderGeometry(
  windowStart: number,
  sink: number,
  { block, most }: Pick<Remainder, 'block' | 'most'>,
): RemainderGeometry {
  const keys = Math.max(0, windowStart - sink);
  let size = block;
  while (Math.floor(keys / size) > most) size *= 2;
  const whole = Math.floor(keys / size);
  const rest = Math.floor((keys - whole * size) / block);
  let tail = 0;
  for (let left = rest; left > 0; left = Math.floor(left / 2)) tail += left % 2;
  return { sink, block, size, whole, rest, tail, end: sink + whole * size + rest * block };
}

/** First key and number of keys of a block, 0 <= index < whole + tail. */
export function remainderBlock(
  { sink, block, size, whole, rest }: RemainderGeometry,
  index: number,
): { readonly start: number; readonly size: number } {
  if (index < whole) return { start: sink + index * size, size };
  let start = sink + whole * size;
  let [left, skip, half] = [rest, index - whole, size / 2];
  while (left * block < half || skip > 0) {
    if (left * block >= half) {
      start += half;
      left -= half / block;
      skip--;
    }
    half /= 2;
  }
  return { start, size: half };
}
