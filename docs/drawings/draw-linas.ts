// Draws a round of LINAS: what costs (measuring) and what does not (predicting).
import { DROPPED, INK, KEPT, sheet, text, WIDTH } from './sheet.ts';

const STEPS = [
  ['measure 50', 'candidates', KEPT],
  ['fit a predictor', 'of each objective', DROPPED],
  ['20,000 evaluations', 'of the predictors', DROPPED],
  ['the best that', 'nobody has measured', DROPPED],
] as const;
const GAP = 26;
const BOX = (WIDTH - 2 - 3 * GAP) / 4;

/** The picture as SVG, readable on a light and on a dark page. */
export function drawLinas(): string {
  const at = (step: number): number => 1 + step * (BOX + GAP);
  const boxes = STEPS.map(([first, second, fill], i) => {
    const middle = at(i) + BOX / 2;
    const style = `text-anchor="middle"${fill === KEPT ? ' fill="#fff"' : ''}`;
    return [
      `<rect x="${at(i).toFixed(1)}" y="16" width="${BOX.toFixed(1)}" height="62" rx="8" fill="${fill}"/>`,
      text(middle, 42, first, `font-weight="600" ${style}`),
      text(middle, 63, second, style),
    ].join('\n');
  });
  const arrows = [0, 1, 2].map(
    (i) =>
      `<path d="M${(at(i) + BOX + 4).toFixed(1)},47h${GAP - 12}m-6,-5l6,5l-6,5" fill="none" stroke="${INK}" stroke-width="2"/>`,
  );
  const back = `<path d="M${(at(3) + BOX / 2).toFixed(1)},82v28H${(at(0) + BOX / 2).toFixed(1)}v-24m-5,6l5,-6l5,6" fill="none" stroke="${INK}" stroke-width="2"/>`;
  return sheet(
    140,
    'A round of LINAS: measure, fit predictors, search on them, measure their best',
    `${boxes.join('\n')}\n${arrows.join('\n')}\n${back}\n${text(WIDTH / 2, 132, 'the next round; only the blue step costs', 'text-anchor="middle"')}`,
  );
}
