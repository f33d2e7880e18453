// Which keys a row of a block mask attends to: sinks, then selected blocks, then window, ascending and each once.
import { blocksOf, type AttentionShape, type BlockMask } from '../block-mask.ts';
import { visibleKeys } from '../inputs.ts';
import { remainderGeometry } from '../remainder/geometry.ts';

function visibleOf(mask: BlockMask, row: number): number {
  const position = mask.positions ? mask.positions[row]! : row + mask.keys - mask.queries;
  return visibleKeys(position, mask.keys, mask.causal);
}

/** Where the window of a query block's first row starts: before every row's window. */
export function firstWindowStart(mask: BlockMask, queryBlock: number): number {
  return Math.max(0, visibleOf(mask, queryBlock * mask.blockQ) - mask.window);
}

/**
 * Keys a row sees, and the first of those that it sees one and all up to its own: its window's, or the remainder's end before it where
 * the remainder's tail is exact. The sinks are [0, min(sink, windowStart)).
 */
export function rowExtent(mask: BlockMask, row: number): { readonly visible: number; readonly windowStart: number } {
  const visible = visibleOf(mask, row);
  const windowStart = Math.max(0, visible - mask.window);
  if (mask.remainder?.tail !== 'exact') return { visible, windowStart };
  const first = firstWindowStart(mask, Math.floor(row / mask.blockQ));
  const { end } = remainderGeometry(first, mask.sink, mask.remainder);
  return { visible, windowStart: Math.min(windowStart, end) };
}

/**
 * Keys one row attends to, ascending: the three disjoint sets sinks, selected blocks, window (docs/specification/hip.md §4). What stands
 * for the others, where the mask has a remainder, is {@link pseudoKeys}.
 * Cost O(keys of the row).
 */
export function* attendedKeys(
  mask: BlockMask,
  _shape: AttentionShape,
  batch: number,
  head: number,
  row: number,
): Generator<number> {
  const { sink, blockK } = mask;
  const { visible, windowStart } = rowExtent(mask, row);
  const sinkEnd = Math.min(sink, windowStart);
  for (let key = 0; key < sinkEnd; key++) yield key;
  for (const start of blocksOf(mask, batch, head, Math.floor(row / mask.blockQ))) {
    const end = Math.min(start + blockK, windowStart);
    for (let key = Math.max(start, sink); key < end; key++) yield key;
  }
  for (let key = windowStart; key < visible; key++) yield key;
}
