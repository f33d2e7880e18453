// The report's figures as standalone SVG text: Observable Plot on the page's document, or on linkedom where there is none.
import type * as ObservablePlot from '@observablehq/plot';
import { optional } from '../optional.ts';
import type { SearchResult } from '../run/progress.ts';
import { isComplete } from '../study/trial.ts';

type Drawing = { readonly Plot: typeof ObservablePlot; readonly document: Document };

const PACKAGES = typeof document === 'object' ? ['@observablehq/plot'] : ['@observablehq/plot', 'linkedom'];
// Rendering is synchronous, importing is not: an import that failed is thrown where something is drawn.
const loaded: Drawing | Error = await optional(PACKAGES, 'a report', async () => {
  const Plot = await import('@observablehq/plot');
  if (typeof document === 'object') return { Plot, document };
  const { parseHTML } = await import('linkedom');
  return { Plot, document: parseHTML('<!doctype html><html><body></body></html>').document };
}).catch((error: unknown) => error as Error);

function drawing(): Drawing {
  if (loaded instanceof Error) throw loaded;
  return loaded;
}

const INK = '#1f2933';
const FRONT = '#1c6e8c';
const OTHER = '#9aa5b1';
const ACCENT = '#d7263d';

function svg(options: ObservablePlot.PlotOptions): string {
  const { Plot, document } = drawing();
  const figure = Plot.plot({
    document,
    width: 640,
    height: 380,
    marginLeft: 64,
    marginBottom: 44,
    style: { background: 'none', color: INK, fontFamily: 'system-ui, sans-serif', fontSize: '12px' },
    ...options,
  });
  return figure.outerHTML;
}

interface Dot {
  readonly x: number;
  readonly y: number;
  readonly round: number;
}

/** All measured candidates of two objectives, coloured by round, with the front and the constraints' bounds. */
export function frontPlot(result: SearchResult, xName: string, yName: string): string {
  const { Plot } = drawing();
  const label = (name: string, arrow: string) => {
    const objective = result.header.objectives.find((o) => o.name === name);
    return `${arrow} ${name}${objective?.direction === 'maximize' ? ' (more is better)' : ''}`;
  };
  const complete = result.trials.filter(isComplete);
  const dots = complete.map((t): Dot => ({ x: t.values[xName] ?? NaN, y: t.values[yName] ?? NaN, round: t.round }));
  const front = result.front
    .map(({ values }) => ({ x: values[xName] ?? NaN, y: values[yName] ?? NaN }))
    .sort((a, b) => a.x - b.x);
  const baseline = result.baseline;
  return svg({
    grid: true,
    color: { type: 'linear', scheme: 'greys', range: [0.25, 0.75], label: 'round' },
    x: { label: label(xName, '→') },
    y: { label: label(yName, '↑') },
    marks: [
      ...result.bounds.flatMap(({ name, bound }) => {
        if (name === xName) return [Plot.ruleX([bound], { stroke: ACCENT, strokeDasharray: '4 3' })];
        return name === yName ? [Plot.ruleY([bound], { stroke: ACCENT, strokeDasharray: '4 3' })] : [];
      }),
      Plot.dot(dots, { x: 'x', y: 'y', r: 3, fill: 'round' }),
      ...(result.header.objectives.length === 2 ? [Plot.line(front, { x: 'x', y: 'y', stroke: FRONT })] : []),
      Plot.dot(front, { x: 'x', y: 'y', r: 4.5, fill: FRONT }),
      ...(baseline
        ? [
            Plot.dot([{ x: baseline[xName], y: baseline[yName] }], {
              x: 'x',
              y: 'y',
              r: 6,
              symbol: 'square',
              stroke: ACCENT,
              strokeWidth: 2,
            }),
          ]
        : []),
    ],
  });
}

/** Hypervolume against measurements, with the rounds' starts. */
export function historyPlot(result: SearchResult): string {
  const { Plot } = drawing();
  const starts = result.trials
    .filter((trial, index) => index > 0 && trial.round !== result.trials[index - 1]?.round)
    .map(({ number }) => number);
  return svg({
    grid: true,
    x: { label: 'measurements →' },
    y: { label: '↑ hypervolume' },
    marks: [
      Plot.ruleX(starts, { stroke: OTHER, strokeDasharray: '2 4' }),
      Plot.line(result.history, {
        x: 'evaluations',
        y: 'hypervolume',
        stroke: FRONT,
        strokeWidth: 2,
        curve: 'step-after',
      }),
    ],
  });
}
