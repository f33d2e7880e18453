// Where a query block stands: its rows, the keys it may search, the rows that are scored.
import type { AttentionShape } from '../block-mask.ts';
import type { HipConfig } from '../config/config.ts';
import { visibleKeys, type PositionOf } from '../inputs.ts';

export interface QueryBlock {
  readonly firstRow: number;
  /** Existing rows. */
  readonly rows: number;
  /** Absolute position of the last row: the block's name for random draws, the same in prefill and decode. */
  readonly position: number;
  /** Keys the last row sees. */
  readonly visible: number;
  /** TS: tokens to search, [sink, sink + searchable). */
  readonly searchable: number;
}

/** The `index`-th block of `blockQ` query rows. */
export function queryBlock(index: number, shape: AttentionShape, config: HipConfig, position: PositionOf): QueryBlock {
  const firstRow = index * config.blockQ;
  const rows = Math.min(config.blockQ, shape.queries - firstRow);
  const last = position(firstRow + rows - 1);
  const visible = visibleKeys(last, shape.keys, config.causal);
  return { firstRow, rows, position: last, visible, searchable: Math.max(0, visible - config.window - config.sink) };
}

/** A group of `strideQ` query rows that is scored as one. */
export interface RowGroup {
  readonly firstRow: number;
  /** Exclusive. */
  readonly endRow: number;
}

/** The stride groups of a block, the last one possibly shorter. */
export function rowGroups(block: QueryBlock, strideQ: number): RowGroup[] {
  const groups: RowGroup[] = [];
  for (let start = 0; start < block.rows; start += strideQ) {
    groups.push({ firstRow: block.firstRow + start, endRow: block.firstRow + Math.min(start + strideQ, block.rows) });
  }
  return groups;
}
