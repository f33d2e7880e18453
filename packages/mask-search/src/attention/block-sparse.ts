// Block-sparse attention in float64 (hip.md §4): selected blocks, sinks and window, each key once.
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { HipError } from '../errors.ts';
import { checkShape, checkTensor, positionOf, sizes, type FloatArray } from '../inputs.ts';
import { attendRow, logitOf, vectorOffset, visibleKeys, type ScoreOptions } from './dense.ts';

/** @throws HipError `invalid-shape` when a mask was made for another shape */
export function checkMask(mask: BlockMask, shape: AttentionShape): void {
  const blocks = Math.ceil(shape.queries / mask.blockQ);
  const expected = { batch: shape.batch, queries: shape.queries, keys: shape.keys, queryBlocks: blocks };
  for (const [name, value] of Object.entries(expected) as [keyof typeof expected, number][]) {
    if (mask[name] !== value) {
      throw new HipError('invalid-shape', `the mask's ${name} is ${mask[name]}, the call's ${value}: search the mask with the same shape`, { name, mask: mask[name], expected: value });
    }
  }
  if (mask.maskHeads !== 1 && mask.maskHeads !== shape.heads) {
    throw new HipError('invalid-shape', `the mask has ${mask.maskHeads} heads: it needs 1 or ${shape.heads}`, { maskHeads: mask.maskHeads, heads: shape.heads });
  }
}

/** Keys one row attends to, ascending within each of the three disjoint sets: sinks, selected blocks, window. */
export function* attendedKeys(mask: BlockMask, shape: AttentionShape, batch: number, head: number, row: number): Generator<number> {
  const { sink, window, blockK, causal, capacity } = mask;
  const visible = visibleKeys(row, shape, causal);
  // First key of the window: position − window + 1 (causal), Tk − window (not causal).
  const windowStart = Math.max(0, (causal ? positionOf(row, shape) + 1 : shape.keys) - window);
  const sinkEnd = Math.min(sink, visible, windowStart);
  for (let key = 0; key < sinkEnd; key++) yield key;
  const cell = (batch * mask.maskHeads + (mask.maskHeads === 1 ? 0 : head)) * mask.queryBlocks + Math.floor(row / mask.blockQ);
  for (let i = 0; i < mask.counts[cell]!; i++) {
    const start = mask.starts[cell * capacity + i]!;
    const end = Math.min(start + blockK, windowStart, visible);
    for (let key = Math.max(start, sink); key < end; key++) yield key;
  }
  for (let key = windowStart; key < visible; key++) yield key;
}

/**
 * Attention over a block mask's keys, the sinks and the window. Rows that see no key give 0.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d] @param v [B, Tk, Hkv, d]
 * @returns [B, Tq, H, d]
 * @throws HipError `invalid-shape`, `non-finite`
 */
export function blockSparseAttention(
  q: FloatArray,
  k: FloatArray,
  v: FloatArray,
  shape: AttentionShape,
  mask: BlockMask,
  options: ScoreOptions = {},
): Float64Array {
  checkShape(shape);
  checkMask(mask, shape);
  const size = sizes(shape);
  checkTensor('q', q, size.query);
  checkTensor('k', k, size.key);
  checkTensor('v', v, size.key);
  const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
  const group = heads / kvHeads;
  const logit = logitOf(d, options);
  const out = new Float64Array(size.query);
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < queries; row++) {
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        const keyStart = (key: number): number => vectorOffset(b, key, Math.floor(h / group), keys, kvHeads, d);
        attendRow(q, at, k, v, keyStart, attendedKeys(mask, shape, b, h, row), d, logit, out, at);
      }
    }
  }
  return out;
}
