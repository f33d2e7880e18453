// Exact top-k blocks: the mask HiP approximates, found by scoring every key against every row.
import { logitOf, type ScoreOptions } from '../attention/score.ts';
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { HipError } from '../errors.ts';
import { checkInputs, type FloatArray } from '../inputs.ts';
import { BlockScorer } from '../search/scorer.ts';
import { selectLargest } from '../search/select.ts';
import { blockMasses } from '../search/vote.ts';
import { newWorkCount, type WorkCount } from '../work.ts';
import { fillMask, type BaselineOptions } from './grid.ts';

/** Which blocks are best: by their largest score, or by their mass, for which scale and soft-cap matter. */
export interface ExactOptions extends BaselineOptions, ScoreOptions {
  /** @defaultValue 'max' */
  readonly score?: 'max' | 'mass' | undefined;
}

/**
 * For each query block the k keys' worth of blocks with the largest score, a block's score being the largest q·k of any of its rows
 * with any of its keys, or (`score: 'mass'`) the sum of all its rows' probabilities of all its keys. With blockQ = blockK = 1 both are
 * exact top-k attention. Cost O(B·H·Tq·Tk·d): quadratic, a yardstick.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d]
 * @throws HipError `invalid-shape`, `invalid-config`, `non-finite`
 */
export function exactTopKMask(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  options: ExactOptions = {},
  work: WorkCount = newWorkCount(),
): BlockMask {
  checkInputs(shape, { q, k });
  const logit = logitOf(shape.headDim, options);
  const { score = 'max' } = options;
  if (score !== 'max' && score !== 'mass')
    throw new HipError('invalid-config', `score is ${String(score)}: give max or mass`, {
      name: 'score',
      value: score,
    });
  return fillMask(shape, options, ({ batch, heads, block, blocks, keep }, config, position) => {
    const { sink, blockK, causal } = config;
    if (score === 'mass') {
      const starts = Array.from({ length: blocks }, (_, i) => sink + i * blockK);
      const inputs = { q, k, shape, causal, position, work, logit, config };
      return selectLargest(blockMasses(inputs, { batch, heads, block, starts, chunk: blockK, dims: 'all' }), keep);
    }
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
