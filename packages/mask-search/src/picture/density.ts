// A block mask reduced to a small grid: query blocks down, keys across, each cell the share of its pairs that are attended to.
import { attendedKeys } from '../attention/attended-keys.ts';
import type { BlockMask } from '../block-mask.ts';
import { HipError } from '../errors.ts';
import { checkCell, validateMask } from '../mask/check.ts';
import { maskShape } from '../mask/to-dense.ts';

export interface PictureOptions {
  /** @defaultValue 0 */
  readonly batch?: number | undefined;
  /** @defaultValue 0 */
  readonly head?: number | undefined;
  /** Cells across and down at most. @defaultValue 128 */
  readonly resolution?: number | undefined;
  /** Pixels across. @defaultValue 512 */
  readonly width?: number | undefined;
}

/**
 * Share of each cell's (row, key) pairs that are attended to, [rows][columns]; the last row of each query block stands for it. Pseudo-keys
 * are not drawn.
 * Cost O(query blocks·keys of a row).
 *
 * @throws HipError `invalid-mask`, `invalid-shape`, `invalid-config`
 */
export function maskDensity(
  mask: BlockMask,
  { batch = 0, head = 0, resolution = 128, width = 512 }: PictureOptions = {},
): Float64Array[] {
  for (const [name, value] of Object.entries({ resolution, width })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new HipError('invalid-config', `${name} is ${value}: give an integer >= 1`, { name, value });
    }
  }
  validateMask(mask);
  checkCell(mask, batch, head);
  const columns = Math.min(resolution, mask.keys);
  const rows = Math.min(resolution, mask.queryBlocks);
  const density = Array.from({ length: rows }, () => new Float64Array(columns));
  const blocks = new Float64Array(rows);
  for (let n = 0; n < mask.queryBlocks; n++) {
    const to = Math.floor((n * rows) / mask.queryBlocks);
    blocks[to]!++;
    const row = Math.min((n + 1) * mask.blockQ, mask.queries) - 1;
    for (const key of attendedKeys(mask, maskShape(mask), batch, head, row)) {
      density[to]![Math.floor((key * columns) / mask.keys)]!++;
    }
  }
  const edge = (c: number): number => Math.ceil((c * mask.keys) / columns);
  density.forEach((line, r) => {
    for (let c = 0; c < columns; c++) line[c]! /= blocks[r]! * (edge(c + 1) - edge(c));
  });
  return density;
}
