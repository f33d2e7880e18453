// Exact top-k blocks: the mask HiP approximates, found by scoring every key against every row.
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { checkInputs, type FloatArray } from '../inputs.ts';
import { BlockScorer } from '../search/scorer.ts';
import { selectLargest } from '../search/select.ts';
import { newWorkCount, type WorkCount } from '../work.ts';
import { fillMask, type BaselineOptions } from './grid.ts';

/**
 * For each query block the k keys' worth of blocks with the largest score, a block's score being the largest q·k of any of its rows
 * with any of its keys. With blockQ = blockK = 1 this is exact top-k attention. Cost O(B·H·Tq·Tk·d): quadratic, a yardstick.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d]
 * @throws HipError `invalid-shape`, `invalid-config`, `non-finite`
 */
export function exactTopKMask(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  options: BaselineOptions = {},
  work: WorkCount = newWorkCount(),
): BlockMask {
  checkInputs(shape, { q, k });
  return fillMask(shape, options, ({ batch, heads, block, blocks, keep }, { sink, blockK, causal }, position) => {
    const scorer = new BlockScorer(
      { q, k, shape, causal, position, work },
      { batch, heads, block, strideQ: 1, rows: 'max' },
    );
    const scores = Array.from({ length: blocks }, (_, i) => {
      let best = -Infinity;
      for (let key = sink + i * blockK; key < sink + (i + 1) * blockK; key++) best = Math.max(best, scorer.key(key));
      return best;
    });
    return selectLargest(scores, keep);
  });
}
