// How a search went and what mattered: hypervolume by trial, variables by importance.
import type { StudyView } from './data.ts';
import { ACCENT, FRONT, OTHER, draw, plotting, type FigureOptions } from './figure.ts';
import type { ViewHistoryPoint } from './front.ts';
import type { Importances } from './importances.ts';

const MOST_TICKS = 600;

/** Hypervolume of the front as trials came in; failures as ticks below. */
export function historyFigure(view: StudyView, history: readonly ViewHistoryPoint[], options: FigureOptions): Element {
  const Plot = plotting();
  const states = new Map(view.trials.map(({ number, state }) => [number, state]));
  const failed = history.filter(({ number }) => states.get(number) === 'failed');
  const last = history.at(-1);
  const label = view.objectives.length === 1 ? 'improvement on the reference' : 'hypervolume';
  return draw(options, `${label} after ${last?.evaluations ?? 0} trials`, {
    grid: true,
    x: { label: 'trials →' },
    y: { label: `↑ ${label}` },
    marks: [
      Plot.line(stepsOf(history), {
        x: 'evaluations',
        y: 'hypervolume',
        stroke: FRONT,
        strokeWidth: 2,
        curve: 'step-after',
      }),
      ...(failed.length === 0
        ? []
        : [
            Plot.tickX(apart(failed, last!.evaluations), {
              x: 'evaluations',
              stroke: ACCENT,
              insetTop: 284,
              strokeWidth: 1,
            }),
          ]),
    ],
  });
}

/** At most one tick a pixel or so: thousands of them are the same picture. */
function apart(points: readonly ViewHistoryPoint[], evaluations: number): readonly ViewHistoryPoint[] {
  const places = new Map(points.map((point) => [Math.floor((MOST_TICKS * point.evaluations) / evaluations), point]));
  return [...places.values()];
}

/** The points at which a step begins, and the last: the same line, of fewer points. */
function stepsOf(history: readonly ViewHistoryPoint[]): readonly ViewHistoryPoint[] {
  return history.filter(
    ({ hypervolume }, i) => i === history.length - 1 || hypervolume !== history[i - 1]?.hypervolume,
  );
}

/** Shares of an objective's variance as bars, at most `most` of them. */
export function importanceFigure(importances: Importances, options: FigureOptions, most = 12): Element {
  const Plot = plotting();
  const bars = [...importances.variables.slice(0, most), { name: 'together', share: importances.together }];
  const longest = Math.max(...bars.map(({ name }) => name.length));
  return draw(options, `importance of ${bars.length - 1} variables, most first`, {
    height: 48 + 24 * bars.length,
    marginLeft: Math.min(0.4 * options.width, 16 + 7 * longest),
    marginRight: 48,
    x: { label: '% of the variance →', domain: [0, Math.max(1, ...bars.map(({ share }) => 100 * share))], grid: true },
    y: { label: null, domain: bars.map(({ name }) => name) },
    marks: [
      Plot.barX(bars, {
        x: ({ share }: { share: number }) => 100 * share,
        y: 'name',
        fill: ({ name }: { name: string }) => (name === 'together' ? OTHER : FRONT),
        inset: 3,
      }),
      Plot.text(bars, {
        x: ({ share }: { share: number }) => 100 * share,
        y: 'name',
        text: ({ share }: { share: number }) => `${(100 * share).toFixed(1)} %`,
        textAnchor: 'start',
        dx: 4,
      }),
    ],
  });
}
