// Draws a sub-network inside its super-network: the first layers, in each the first heads and the first FFN units.
import { box, DROPPED, KEPT, LEFT, sheet, text, WIDTH } from './sheet.ts';

/** Of 6 layers with 8 heads and 4 quarters of an FFN: what each layer keeps, none for a layer that is left out. */
export const DRAWN = {
  layers: 6,
  heads: 8,
  ffn: 4,
  kept: [
    [8, 4],
    [6, 2],
    [4, 3],
    [6, 1],
  ],
} as const;
const ROW = 34;
const NAMES = 90;

/** The picture as SVG, readable on a light and on a dark page. */
export function drawSupernet(): string {
  const span = (WIDTH - 2 * LEFT - NAMES - 30) / 2;
  const line = (count: number, kept: number, from: number, y: number): string =>
    Array.from({ length: count }, (_, i) =>
      box(from + (i * span) / count + 1, y, span / count - 2, 22, i < kept ? KEPT : DROPPED),
    ).join('\n');
  const first = LEFT + NAMES;
  const rows = Array.from({ length: DRAWN.layers }, (_, layer) => {
    const [heads, ffn] = DRAWN.kept[layer] ?? [0, 0];
    const y = 34 + layer * ROW;
    return [
      text(LEFT, y + 16, `layer ${layer + 1}`),
      line(DRAWN.heads, heads, first, y),
      line(DRAWN.ffn, ffn, first + span + 30, y),
    ].join('\n');
  });
  const titles = `${text(first, 18, 'attention heads')}\n${text(first + span + 30, 18, 'FFN units, in quarters')}`;
  return sheet(
    34 + DRAWN.layers * ROW,
    'A sub-network: 4 of 6 layers, a prefix of heads and FFN units in each',
    `${titles}\n${rows.join('\n')}`,
  );
}
