// A block mask as a picture: query blocks down, keys across, darker where more of a cell's keys are attended to.
import type { BlockMask } from '../block-mask.ts';
import { HipError } from '../errors.ts';
import { attendedKeys } from '../attention/attended-keys.ts';

export interface PictureOptions {
  /** @defaultValue 0 */
  readonly batch?: number;
  /** @defaultValue 0 */
  readonly head?: number;
  /** Cells across and down at most. @defaultValue 128 */
  readonly resolution?: number;
  /** Pixels across. @defaultValue 512 */
  readonly width?: number;
}

/** Share of each cell's (row, key) pairs that are attended to, [rows][columns]; the last row of each query block stands for it. */
export function maskDensity(
  mask: BlockMask,
  { batch = 0, head = 0, resolution = 128 }: PictureOptions = {},
): Float64Array[] {
  if (head < 0 || head >= Math.max(mask.maskHeads, 1) || batch < 0 || batch >= mask.batch) {
    throw new HipError(
      'invalid-shape',
      `batch ${batch}, head ${head}: the mask has ${mask.batch} batches and ${mask.maskHeads} heads`,
      { batch, head },
    );
  }
  const shape = {
    batch: mask.batch,
    queries: mask.queries,
    keys: mask.keys,
    heads: mask.maskHeads,
    kvHeads: 1,
    headDim: 1,
  };
  const columns = Math.min(resolution, mask.keys);
  const rows = Math.min(resolution, mask.queryBlocks);
  const density = Array.from({ length: rows }, () => new Float64Array(columns));
  const blocks = new Float64Array(rows);
  for (let n = 0; n < mask.queryBlocks; n++) {
    const to = Math.floor((n * rows) / mask.queryBlocks);
    blocks[to]!++;
    const row = Math.min((n + 1) * mask.blockQ, mask.queries) - 1;
    for (const key of attendedKeys(mask, shape, batch, head, row))
      density[to]![Math.floor((key * columns) / mask.keys)]!++;
  }
  density.forEach((line, r) => {
    for (let c = 0; c < columns; c++)
      line[c]! /= blocks[r]! * (Math.ceil(((c + 1) * mask.keys) / columns) - Math.ceil((c * mask.keys) / columns));
  });
  return density;
}

/** The picture as standalone SVG text. */
export function maskToSvg(mask: BlockMask, options: PictureOptions = {}): string {
  const { width = 512 } = options;
  const density = maskDensity(mask, options);
  const rows = density.length;
  const columns = density[0]?.length ?? 0;
  const cells: string[] = [];
  density.forEach((line, y) => {
    let x = 0;
    while (x < columns) {
      const shade = Math.round(Math.min(1, line[x]!) * 8);
      let end = x + 1;
      while (end < columns && Math.round(Math.min(1, line[end]!) * 8) === shade) end++;
      if (shade > 0) cells.push(`<rect x="${x}" y="${y}" width="${end - x}" height="1" opacity="${shade / 8}"/>`);
      x = end;
    }
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${Math.round((width * rows) / Math.max(1, columns))}" viewBox="0 0 ${columns} ${rows}" ` +
    `shape-rendering="crispEdges" role="img" aria-label="block mask: ${mask.queryBlocks} query blocks by ${mask.keys} keys">` +
    `<rect width="${columns}" height="${rows}" fill="#f5f7fa"/><g fill="#1c6e8c">${cells.join('')}</g></svg>`
  );
}
