// Draws the tree search: the scores of 64 keys on top, one row of halves per round below, what is kept in colour.
import { DROPPED, INK, KEPT, LEFT, sheet, text, WIDTH } from './sheet.ts';
import { roundsOf, type Run } from './tree-search.ts';

const CURVE = 130;
const ROW = 34;

/** Two hills and a small one: scores that change slowly from key to key, as the search assumes. */
export const SCORES: readonly number[] = Array.from({ length: 64 }, (_, key) => {
  const hill = (at: number, width: number, height: number) => height * Math.exp(-(((key - at) / width) ** 2));
  return hill(13, 5, 1) + hill(41, 4, 0.85) + hill(57, 2, 0.5) + 0.06 * Math.sin(key * 1.7);
});
export const K = 8;

const x = (key: number) => LEFT + (key / SCORES.length) * (WIDTH - 2 * LEFT);

function curve(): string {
  const top = Math.max(...SCORES);
  const y = (score: number) => (CURVE - 10 - (score / top) * (CURVE - 30)).toFixed(1);
  const points = SCORES.map((score, key) => `${(x(key) + 5).toFixed(1)},${y(score)}`).join(' ');
  return `<polyline points="${points}" fill="none" stroke="${INK}" stroke-width="2"/>
${text(LEFT, 16, 'q·k of each of 64 keys: never computed for most of them')}`;
}

function row(runs: readonly Run[], number: number): string {
  const y = CURVE + number * ROW;
  const boxes = runs.map(({ start, end, centre, kept }) => {
    const width = (x(end) - x(start) - 2).toFixed(1);
    const dot = `<circle cx="${(x(centre) + 5).toFixed(1)}" cy="${y + 11}" r="2.6" fill="${kept ? '#fff' : INK}"/>`;
    return `<rect x="${(x(start) + 1).toFixed(1)}" y="${y}" width="${width}" height="22" rx="3" fill="${kept ? KEPT : DROPPED}"/>${dot}`;
  });
  return boxes.join('\n');
}

/** The picture as SVG, readable on a light and on a dark page. */
export function drawSearch(): string {
  const rounds = roundsOf(SCORES, K);
  const height = CURVE + rounds.length * ROW + 24;
  const dots = rounds.reduce((sum, round) => sum + round.length, 0);
  return sheet(
    height,
    'Tree search over 64 keys, 8 kept',
    `${curve()}
${rounds.map(row).join('\n')}
${text(LEFT, height - 8, `${rounds.length} rounds, ${dots} dot products (one per box, at its dot), ${K} keys kept`)}`,
  );
}
