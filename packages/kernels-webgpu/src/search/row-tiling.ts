// How many scored query rows a workgroup holds at a time.
import { HipError } from '../errors/gpu-errors.ts';
import type { RowTiling } from './code/rows.ts';
import type { SearchRequest } from './plan.ts';

/** More rows than this need more registers than they save key reads. */
const MOST_ROWS = 16;

/**
 * Tiles of equal size.
 *
 * @param reserved bytes of workgroup memory that the kernel needs besides
 * @throws HipError `unsupported` where not even one row fits
 */
export function rowTiling(
  groups: number,
  strideQ: number,
  rows: 'max' | 'mean',
  { shape: { headDim }, limits }: Pick<SearchRequest, 'shape' | 'limits'>,
  reserved = 1024,
): RowTiling {
  const room = Math.floor((limits.maxComputeWorkgroupStorageSize - reserved) / (headDim * 4 + 4));
  if (room < 1)
    throw new HipError('unsupported', `a query row of ${headDim} numbers does not fit the workgroup memory left`, {
      headDim,
      reserved,
    });
  const tiles = Math.ceil(groups / Math.min(room, MOST_ROWS));
  return { strideQ, rows, tile: Math.ceil(groups / tiles), tiles };
}
