// Draws three stages over the scores of the tree's drawing: chunks, and which of them are left.
import { SCORES } from './draw-search.ts';
import { box, DROPPED, KEPT, LEFT, sheet, text, WIDTH } from './sheet.ts';
import { stagesOf } from './stages.ts';

export const STAGES = [
  { chunk: 8, keep: 32 },
  { chunk: 4, keep: 16 },
  { chunk: 2, keep: 8 },
] as const;
const ROW = 62;

const x = (key: number): number => LEFT + (key / SCORES.length) * (WIDTH - 2 * LEFT);

/** The picture as SVG, readable on a light and on a dark page. */
export function drawStages(): string {
  const rows = stagesOf(SCORES, STAGES).map(({ chunk, keep, chunks }, stage) => {
    const y = 14 + stage * ROW;
    const boxes = chunks.map(({ start, end, kept }) =>
      box(x(start) + 1, y + 12, x(end) - x(start) - 2, 22, kept ? KEPT : DROPPED),
    );
    return `${text(LEFT, y + 4, `stage ${stage + 1}: chunks of ${chunk}, the best ${keep / chunk} stay`)}\n${boxes.join('\n')}`;
  });
  const kept = STAGES.at(-1)!.keep;
  return sheet(STAGES.length * ROW + 14, `Three stages over ${SCORES.length} keys, ${kept} kept`, rows.join('\n'));
}
