// How many scored query rows a workgroup holds at a time.
import type { MassStage } from '@hip/mask-search';
import { HipError } from '../errors/gpu-errors.ts';
import { channelOctets } from './code/channels.ts';
import type { RowTiling } from './code/rows.ts';
import type { SearchRequest } from './plan.ts';

/** More rows than this need more registers than they save key reads. */
const MOST_ROWS = 16;

/**
 * Tiles of equal size.
 *
 * @param room bytes of workgroup memory @param rowBytes of each row
 * @throws HipError `unsupported` where not even one row fits
 */
export function tilesOf(
  groups: number,
  room: number,
  rowBytes: number,
  headDim: number,
): Pick<RowTiling, 'tile' | 'tiles'> {
  const fit = Math.floor(room / rowBytes);
  if (fit < 1)
    throw new HipError('unsupported', `a query row of ${headDim} numbers does not fit the workgroup memory left`, {
      headDim,
      room,
    });
  const tiles = Math.ceil(groups / Math.min(fit, MOST_ROWS));
  return { tile: Math.ceil(groups / tiles), tiles };
}

/**
 * Tiles of the kernels that score rows.
 *
 * @param reserved bytes of workgroup memory that the kernel needs besides
 * @throws HipError `unsupported` where not even one row fits
 */
export function rowTiling(
  groups: number,
  strideQ: number,
  rows: 'max' | 'mean',
  { shape: { headDim }, limits }: Pick<SearchRequest, 'shape' | 'limits'>,
  dims: MassStage['dims'] = 'all',
  reserved = 1024,
): RowTiling {
  const room = limits.maxComputeWorkgroupStorageSize - reserved;
  const tiles = tilesOf(groups, room, channelOctets(headDim, dims).count * 32 + 4, headDim);
  return { strideQ, rows, ...tiles, ...(dims !== 'all' && { dims }) };
}
