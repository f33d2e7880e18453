// Where the remainder's blocks lie (docs/specification/hip.md §8.3): pure numbers, the same on every backend.
import type { Remainder } from '../config/remainder.ts';

/** The blocks below a window: `whole` of `size` keys from the sink on, then `tail` of `block` keys, ending at `end`. */
export interface RemainderGeometry {
  /** First key of the first block. */
  readonly sink: number;
  /** Keys of a tail block. */
  readonly block: number;
  /** Keys of a whole block: `block`·2^m, the smallest of which no more than `most` fit. */
  readonly size: number;
  readonly whole: number;
  /** Less than size / block. */
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
 * [size, whole, tail, end]; // [256,3,3,976]
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
  const tail = Math.floor((keys - whole * size) / block);
  return { sink, block, size, whole, tail, end: sink + whole * size + tail * block };
}

/** First key and number of keys of a block, 0 <= index < whole + tail. */
export function remainderBlock(
  { sink, block, size, whole }: RemainderGeometry,
  index: number,
): { readonly start: number; readonly size: number } {
  if (index < whole) return { start: sink + index * size, size };
  return { start: sink + whole * size + (index - whole) * block, size: block };
}
