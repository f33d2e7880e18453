// What a mask costs and how sparse it is, in numbers.
import { blocksOf, type BlockMask } from '../block-mask.ts';
import { rowExtent } from '../attention/attended-keys.ts';
import { pseudoKeys } from '../remainder/pseudo-keys.ts';
import { validateMask } from './check.ts';

export interface MaskStatistics {
  /** Attended pairs over visible pairs, 1 = dense; averaged over batch and heads by pairs. */
  readonly density: number;
  /** Attended keys of a row: mean, fewest, most. */
  readonly keysPerRow: { readonly mean: number; readonly min: number; readonly max: number };
  /** Pseudo-keys of a row, besides its keys; 0 without a remainder. */
  readonly pseudoKeysPerRow: { readonly mean: number; readonly min: number; readonly max: number };
  /** Share of the attended pairs that are sinks, selected blocks, window (with a remainder's exact tail); adds up to 1. */
  readonly shares: { readonly sink: number; readonly blocks: number; readonly window: number };
  /** Selected blocks of a query block, on average. */
  readonly blocksPerQueryBlock: number;
  /** Mean distance, in tokens, from a query block's last row back to its selected blocks' first keys; 0 without blocks. */
  readonly meanDistance: number;
  /** Bytes of `starts`, `counts` and `positions`. */
  readonly bytes: number;
}

/** Cost O(B·H·Tq·capacity) time, O(1) memory. @throws HipError `invalid-mask` */
export function maskStatistics(mask: BlockMask): MaskStatistics {
  validateMask(mask);
  const pairs = { sink: 0, blocks: 0, window: 0, visible: 0 };
  const blocks = { count: 0, distance: 0, cells: 0 };
  let [min, max, rows] = [Infinity, 0, 0];
  const pseudo = { sum: 0, min: Infinity, max: 0, now: 0 };
  for (let batch = 0; batch < mask.batch; batch++) {
    for (let head = 0; head < mask.maskHeads; head++) {
      for (let row = 0; row < mask.queries; row++) {
        const { visible, windowStart } = rowExtent(mask, row);
        const starts = blocksOf(mask, batch, head, Math.floor(row / mask.blockQ));
        const sink = Math.min(mask.sink, windowStart);
        let selected = 0;
        for (const start of starts)
          selected += Math.max(0, Math.min(start + mask.blockK, windowStart) - Math.max(start, mask.sink));
        const keys = sink + selected + visible - windowStart;
        pairs.sink += sink;
        pairs.blocks += selected;
        pairs.window += visible - windowStart;
        pairs.visible += visible;
        [min, max, rows] = [Math.min(min, keys), Math.max(max, keys), rows + 1];
        if (row % mask.blockQ === 0) pseudo.now = [...pseudoKeys(mask, batch, head, row / mask.blockQ)].length;
        pseudo.sum += pseudo.now;
        [pseudo.min, pseudo.max] = [Math.min(pseudo.min, pseudo.now), Math.max(pseudo.max, pseudo.now)];
        if (row % mask.blockQ === mask.blockQ - 1 || row === mask.queries - 1) {
          blocks.cells++;
          blocks.count += starts.length;
          for (const start of starts) blocks.distance += visible - 1 - start;
        }
      }
    }
  }
  const attended = pairs.sink + pairs.blocks + pairs.window;
  const share = (part: number): number => (attended === 0 ? 0 : part / attended);
  return {
    density: pairs.visible === 0 ? 1 : attended / pairs.visible,
    keysPerRow: { mean: attended / rows, min, max },
    pseudoKeysPerRow: { mean: pseudo.sum / rows, min: pseudo.min, max: pseudo.max },
    shares: { sink: share(pairs.sink), blocks: share(pairs.blocks), window: share(pairs.window) },
    blocksPerQueryBlock: blocks.count / blocks.cells,
    meanDistance: blocks.count === 0 ? 0 : blocks.distance / blocks.count,
    bytes: mask.starts.byteLength + mask.counts.byteLength + (mask.positions?.byteLength ?? 0),
  };
}
