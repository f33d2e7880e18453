// Random blocks beside sink and window: the BigBird baseline.
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { randomAt } from '../search/random.ts';
import { fillMask, type BaselineOptions } from './grid.ts';

/**
 * k keys' worth of blocks drawn without replacement for each query block and head; equal seeds give equal masks.
 * Cost O(B·H·(Tq/blockQ)·k/blockK) draws; no query or key is read.
 *
 * @throws HipError `invalid-shape`, `invalid-config`
 */
export function randomBlockMask(shape: AttentionShape, options: BaselineOptions = {}): BlockMask {
  return fillMask(shape, options, ({ batch, maskHead, block, blocks, keep }, { seed }) => {
    const random = randomAt(seed, batch, maskHead, block.position);
    // Floyd's sampling: every subset of `keep` of the blocks is equally likely.
    const chosen = new Set<number>();
    for (let last = blocks - keep; last < blocks; last++) {
      const candidate = Math.floor(random() * (last + 1));
      chosen.add(chosen.has(candidate) ? last : candidate);
    }
    return [...chosen].sort((a, b) => a - b);
  });
}
