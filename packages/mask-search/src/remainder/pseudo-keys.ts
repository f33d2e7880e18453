// Which pseudo-keys a query block's rows attend to, besides the keys of its mask.
import { blocksOf, type BlockMask } from '../block-mask.ts';
import { firstWindowStart } from '../attention/attended-keys.ts';
import { remainderBlock, remainderGeometry } from './geometry.ts';

/** A block of keys of which `count` are stood for: logit softcap(scale·q·mean key) + ln count, value the mean value. */
export interface PseudoKey {
  /** First key of the block. */
  readonly start: number;
  /** Keys of the block, over all of which the means go. */
  readonly size: number;
  /** Keys of the block that the mask does not hold, at least 1. */
  readonly count: number;
}

/**
 * The pseudo-keys of every row of a query block, ascending; none where the mask has no remainder (docs/specification/hip.md §8.3).
 * Beside {@link attendedKeys}: no key is in both. Cost O(blocks of the mask + blocks of the remainder).
 *
 * @example
 * ```ts
 * import { emptyMask, pseudoKeys } from '@hip/mask-search';
 * const shape = { batch: 1, queries: 1, keys: 20, heads: 1, kvHeads: 1, headDim: 1 };
 * const config = { blockQ: 1, blockK: 1, sink: 2, window: 2, causal: true, shareHeads: false, remainder: { block: 8, most: 4 } };
 * const pseudo = [...pseudoKeys(emptyMask(shape, config, 1), 0, 0, 0)];
 * console.log(pseudo); // => [ { start: 2, size: 8, count: 8 }, { start: 10, size: 8, count: 8 } ]
 * ```
 */
export function* pseudoKeys(mask: BlockMask, batch: number, head: number, queryBlock: number): Generator<PseudoKey> {
  const { remainder, sink, blockK } = mask;
  if (!remainder) return;
  const geometry = remainderGeometry(firstWindowStart(mask, queryBlock), sink, remainder);
  const starts = blocksOf(mask, batch, head, queryBlock);
  let slot = 0;
  for (let index = 0; index < geometry.whole + geometry.tail; index++) {
    const { start, size } = remainderBlock(geometry, index);
    let count = size;
    while (slot < starts.length && starts[slot]! + blockK <= start) slot++;
    for (let i = slot; i < starts.length && starts[i]! < start + size; i++)
      count -= Math.min(starts[i]! + blockK, start + size) - Math.max(starts[i]!, start);
    if (count > 0) yield { start, size, count };
  }
}
