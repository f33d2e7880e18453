// What all drawings share: size, colours that read on a light and on a dark page, text.
import { STYLE } from '../../scripts/lib/plot.mjs';

export const WIDTH = 760;
export const LEFT = 20;
export const KEPT = '#2f6fca';
export const DROPPED = '#8883';
/** The page's own. */
export const INK = 'currentColor';

/** @param body SVG. @returns the drawing as standalone SVG */
export function sheet(height: number, label: string, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${label}" font-family="system-ui, sans-serif" font-size="15" fill="currentColor">
<style>${STYLE}</style>
${body}
</svg>
`;
}

const escape = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** @param attributes of the element, such as `font-weight="600"` */
export const text = (x: number, y: number, words: string, attributes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes && ` ${attributes}`}>${escape(words)}</text>`;

export const box = (x: number, y: number, width: number, height: number, fill: string): string =>
  `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height}" rx="3" fill="${fill}"/>`;
