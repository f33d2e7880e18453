// A layer's mask as rows of a picture: for each block of 64 queries the share of each 64 keys that its heads read.
import { maskDensity, type BlockMask } from '@hip/mask-search';
import { PIXEL } from './pixel.ts';
import type { MaskRows } from './protocol.ts';

/** @param mask - of the newest rows; its heads are averaged */
export function maskRows(mask: BlockMask): MaskRows {
  const columns = Math.ceil(mask.keys / PIXEL);
  const sums = Array.from({ length: mask.queryBlocks }, () => new Float64Array(columns));
  for (let head = 0; head < mask.maskHeads; head++) {
    const density = maskDensity(mask, { head, resolution: Math.max(columns, mask.queryBlocks) });
    density.forEach((line, row) => line.forEach((share, column) => (sums[row]![column]! += share / mask.maskHeads)));
  }
  return {
    row: Math.floor((mask.keys - mask.queries) / PIXEL),
    rows: sums.map((line) => Uint8Array.from(line, (share) => Math.round(255 * Math.min(1, share)))),
  };
}
