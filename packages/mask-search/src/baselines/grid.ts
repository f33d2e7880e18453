// What the baselines share: a mask in the layout of HiP's, filled block by block by a rule of the baseline's own.
import { emptyMask, setBlocks, type AttentionShape, type BlockMask } from '../block-mask.ts';
import type { HipConfig } from '../config/config.ts';
import { resolveConfig } from '../config/resolve.ts';
import { PAPER_CONFIG } from '../config/stock.ts';
import { checkShape, positionsOf, type PositionOf } from '../inputs.ts';
import { maskCapacity } from '../search/block-search.ts';
import { queryBlock, type QueryBlock } from '../search/geometry.ts';
import { checkSearch, headsOf } from '../search/search.ts';

/** The parameters of a configuration that a baseline reads. */
export type BaselineOptions = Partial<
  Pick<
    HipConfig,
    'k' | 'kPerHead' | 'blockQ' | 'blockK' | 'window' | 'sink' | 'causal' | 'shareHeads' | 'remainder' | 'seed'
  >
> & {
  /** [queries] absolute positions, not decreasing. @defaultValue row + keys − queries */
  readonly positions?: ArrayLike<number> | undefined;
};

/** The cell whose blocks a rule chooses. */
export interface BaselineCell {
  readonly batch: number;
  /** The head of the mask, 0 when shared. */
  readonly maskHead: number;
  /** Query heads that share it. */
  readonly heads: readonly number[];
  readonly block: QueryBlock;
  /** BS: key blocks that may be chosen, the i-th at sink + i·blockK. */
  readonly blocks: number;
  /** M: how many may be. */
  readonly keep: number;
}

/** Completes a baseline's options; stages play no part in baselines. */
export function baselineConfig(options: BaselineOptions): HipConfig {
  const { k, kPerHead, blockQ, blockK, window, sink, causal, shareHeads, remainder, seed } = options;
  const given = { k, kPerHead, blockQ, blockK, window, sink, causal, shareHeads, remainder, seed };
  return resolveConfig(given as Partial<HipConfig>, PAPER_CONFIG);
}

/**
 * @param choose indices of the chosen blocks, ascending; not asked where all blocks fit
 * @throws HipError `invalid-shape`, `invalid-config`
 */
export function fillMask(
  shape: AttentionShape,
  options: BaselineOptions,
  choose: (cell: BaselineCell, config: HipConfig, position: PositionOf) => readonly number[],
): BlockMask {
  checkShape(shape);
  const config = baselineConfig(options);
  const position = positionsOf(shape, options.positions);
  checkSearch(config, shape);
  const mask = emptyMask(shape, config, maskCapacity(config), options.positions);
  for (let batch = 0; batch < shape.batch; batch++) {
    for (let maskHead = 0; maskHead < mask.maskHeads; maskHead++) {
      for (let n = 0; n < mask.queryBlocks; n++) {
        const block = queryBlock(n, shape, config, position);
        const blocks = Math.ceil(block.searchable / config.blockK);
        const heads = headsOf(shape, config, maskHead);
        const keep = Math.ceil((config.kPerHead?.[maskHead] ?? config.k) / config.blockK);
        const cell = { batch, maskHead, heads, block, blocks, keep };
        const indices = blocks <= keep ? Array.from({ length: blocks }, (_, i) => i) : choose(cell, config, position);
        setBlocks(
          mask,
          batch,
          maskHead,
          n,
          indices.map((i) => config.sink + i * config.blockK),
        );
      }
    }
  }
  return mask;
}
