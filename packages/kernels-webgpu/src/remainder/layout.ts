// Where the means of remainder blocks lie in their buffer (docs/specification/hip.md §8.3): a level for each doubling of the base block.
import {
  remainderGeometry,
  resolveRemainder,
  type AttentionShape,
  type Remainder,
  type RemainderConfig,
} from '@hip/mask-search';
import { bytesOf, type ElementType } from '../device/features.ts';

/**
 * [B, Hkv, rows, 2, d] in the type of the keys: mean keys beside mean values, the rows of a level behind those of the level before. A
 * mean of f16 that is rounded once a level is off by 2⁻¹¹ of itself a level at most, as its keys are.
 */
export interface MeansLayout {
  readonly sink: number;
  /** Keys of a base block. */
  readonly block: number;
  /** Most whole blocks of a query block. */
  readonly most: number;
  /** Base blocks for which a head has room. */
  readonly baseBlocks: number;
  /** Levels: blocks of block, 2·block, 4·block … keys. */
  readonly levels: number;
  /** Rows of a head, all levels. */
  readonly rows: number;
}

/** The layout for blocks below `windowStart`, the largest of a call or of a cache's life. */
export function meansLayout(config: RemainderConfig, sink: number, windowStart: number): MeansLayout {
  const { block, most } = resolveRemainder(config);
  const baseBlocks = Math.floor(Math.max(0, windowStart - sink) / block);
  const { size } = remainderGeometry(windowStart, sink, { block, most });
  const levels = Math.round(Math.log2(size / block)) + 1;
  let rows = 0;
  for (let level = 0; level < levels; level++) rows += Math.floor(baseBlocks / 2 ** level);
  return { sink, block, most, baseBlocks, levels, rows };
}

/** Pseudo-keys of a query block at most. */
export function mostPseudoKeys({ most, baseBlocks, levels }: MeansLayout): number {
  return Math.min(most, baseBlocks) + levels - 1;
}

/** Bytes of means that are stored so. */
export function meansBytes(
  { batch, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>,
  { rows }: MeansLayout,
  type: ElementType,
): number {
  return Math.max(1, batch * kvHeads * rows) * 2 * headDim * bytesOf(type);
}

/** Where a mask's last query block's first window starts. */
export function lastWindowStart(mask: {
  readonly queries: number;
  readonly keys: number;
  readonly blockQ: number;
  readonly window: number;
  readonly causal: boolean;
}): number {
  const { queries, keys, blockQ, window, causal } = mask;
  const row = Math.floor((queries - 1) / blockQ) * blockQ;
  const visible = causal ? Math.max(0, Math.min(keys, row + 1 + keys - queries)) : keys;
  return Math.max(0, visible - window);
}

/** The tail's base block where rows attend to the keys after the last block, 0 where they do not. */
export function exactTail(remainder: Remainder | undefined): number {
  return remainder?.tail === 'exact' ? remainder.block : 0;
}
