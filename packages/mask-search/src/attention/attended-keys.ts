// Which keys a row of a block mask attends to: sinks, then selected blocks, then window, ascending and each once.
import { blocksOf, type AttentionShape, type BlockMask } from '../block-mask.ts';
import { visibleKeys } from '../inputs.ts';

/** Keys a row sees, and the first of them in its window; the sinks are [0, min(sink, windowStart)). */
export function rowExtent(mask: BlockMask, row: number): { readonly visible: number; readonly windowStart: number } {
  const position = mask.positions ? mask.positions[row]! : row + mask.keys - mask.queries;
  const visible = visibleKeys(position, mask.keys, mask.causal);
  return { visible, windowStart: Math.max(0, visible - mask.window) };
}

/**
 * Keys one row attends to, ascending: the three disjoint sets sinks, selected blocks, window (docs/specification/hip.md §4).
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
