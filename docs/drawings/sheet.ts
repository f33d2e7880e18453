// What all drawings share: size, colours that read on a light and on a dark page, text.

export const WIDTH = 760;
export const LEFT = 20;
export const KEPT = '#3a7bd5';
export const DROPPED = '#8883';
export const INK = '#7b8088';

/** @param body SVG below the style. @returns the drawing as standalone SVG */
export function sheet(height: number, label: string, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${label}">
<style>.t{font:15px system-ui,sans-serif;fill:${INK}}.b{font-weight:600}.m{text-anchor:middle}</style>
${body}
</svg>
`;
}

export const text = (x: number, y: number, words: string, classes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" class="t ${classes}">${words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;

export const box = (x: number, y: number, width: number, height: number, fill: string): string =>
  `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height}" rx="3" fill="${fill}"/>`;
