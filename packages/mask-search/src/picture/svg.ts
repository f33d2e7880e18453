// A block mask as SVG: darker where more of a cell's keys are attended to.
import type { BlockMask } from '../block-mask.ts';
import { maskDensity, type PictureOptions } from './density.ts';

/** Levels of shade; runs of one level become one rectangle. */
const SHADES = 8;

/** The picture as standalone SVG text. @throws HipError `invalid-mask`, `invalid-shape` */
export function maskToSvg(mask: BlockMask, options: PictureOptions = {}): string {
  const { width = 512 } = options;
  const density = maskDensity(mask, options);
  const rows = density.length;
  const columns = density[0]!.length;
  const cells: string[] = [];
  density.forEach((line, y) => {
    for (let x = 0; x < columns;) {
      const shade = Math.round(line[x]! * SHADES);
      let end = x + 1;
      while (end < columns && Math.round(line[end]! * SHADES) === shade) end++;
      if (shade > 0) cells.push(`<rect x="${x}" y="${y}" width="${end - x}" height="1" opacity="${shade / SHADES}"/>`);
      x = end;
    }
  });
  const label = `block mask: ${mask.queryBlocks} query blocks by ${mask.keys} keys`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${Math.round((width * rows) / columns)}" ` +
    `viewBox="0 0 ${columns} ${rows}" preserveAspectRatio="none" shape-rendering="crispEdges" role="img" aria-label="${label}">` +
    `<rect width="${columns}" height="${rows}" fill="#f5f7fa"/><g fill="#1c6e8c">${cells.join('')}</g></svg>`
  );
}
