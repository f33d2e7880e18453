// A block mask written out: which (row, key) pairs it holds.
import { attendedKeys } from '../attention/attended-keys.ts';
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { checkCell, validateMask } from './check.ts';

/** The shape of a mask's own rows, keys and heads, for walking it without tensors. */
export function maskShape(mask: BlockMask): AttentionShape {
  const { batch, queries, keys, maskHeads } = mask;
  return { batch, queries, keys, heads: maskHeads, kvHeads: 1, headDim: 1 };
}

/**
 * 1 where the row attends to the key (sinks and window included), else 0, also where a pseudo-key stands for it. Cost O(Tq·Tk): for looking at small masks.
 *
 * @param head a shared mask gives the same for every head
 * @returns [queries, keys]
 * @throws HipError `invalid-mask`, `invalid-shape`
 * @example
 * ```ts
 * import { denseMask, toDense } from '@hip/mask-search';
 * const mask = denseMask({ batch: 1, queries: 2, keys: 2, heads: 1, kvHeads: 1, headDim: 1 }, true);
 * const pairs = [...toDense(mask)];
 * console.log(pairs); // => [ 1, 0, 1, 1 ]
 * ```
 */
export function toDense(
  mask: BlockMask,
  { batch = 0, head = 0 }: { readonly batch?: number; readonly head?: number } = {},
): Uint8Array {
  validateMask(mask);
  checkCell(mask, batch, head);
  const { queries, keys } = mask;
  const dense = new Uint8Array(queries * keys);
  for (let row = 0; row < queries; row++) {
    for (const key of attendedKeys(mask, maskShape(mask), batch, head, row)) dense[row * keys + key] = 1;
  }
  return dense;
}
