// The report's own figures: training, and the chosen network beside the full one.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { LossPoint } from '@instatune/supernet';

const INK = '#1f2933';
const LINE = '#1c6e8c';
const FAINT = '#c3d0d9';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

function svg(options: Plot.PlotOptions): string {
  const figure = Plot.plot({
    document,
    width: 640,
    height: 300,
    marginLeft: 64,
    marginBottom: 44,
    style: { background: 'none', color: INK, fontFamily: 'system-ui, sans-serif', fontSize: '12px' },
    ...options,
  });
  return figure.outerHTML;
}

/** Points of a curve at most: a report stays small. */
const POINTS = 400;

/** Loss by step, and its running mean. */
export function lossPlot(history: readonly LossPoint[]): string {
  const every = Math.max(1, Math.ceil(history.length / POINTS));
  let mean = history[0]?.loss ?? 0;
  const points = history
    .map(({ step, loss }) => ({ step, loss, mean: (mean = 0.95 * mean + 0.05 * loss) }))
    .filter((_, index) => index % every === 0 || index === history.length - 1);
  return svg({
    grid: true,
    x: { label: 'step →' },
    y: { label: '↑ loss' },
    marks: [
      Plot.line(points, { x: 'step', y: 'loss', stroke: FAINT }),
      Plot.line(points, { x: 'step', y: 'mean', stroke: LINE, strokeWidth: 2 }),
    ],
  });
}

/** What is left of each quantity, as a share of the full network's. */
export function sharesPlot(
  full: Readonly<Record<string, number>>,
  small: Readonly<Record<string, number>>,
  names: readonly string[],
): string {
  const shares = names.map((name) => ({ name, share: (100 * small[name]!) / full[name]! }));
  return svg({
    height: 60 + 36 * names.length,
    marginLeft: 96,
    x: {
      label: '% of the full network →',
      domain: [0, Math.max(100, ...shares.map(({ share }) => share))],
      grid: true,
    },
    y: { label: null, domain: [...names] },
    marks: [
      Plot.barX(shares, { x: 'share', y: 'name', fill: LINE, inset: 4 }),
      Plot.text(shares, {
        x: 'share',
        y: 'name',
        text: ({ share }: { share: number }) => `${share.toFixed(1)} %`,
        textAnchor: 'start',
        dx: 4,
      }),
      Plot.ruleX([100], { stroke: INK, strokeDasharray: '4 3' }),
    ],
  });
}

/** Heads and FFN units of each layer, what was cut in grey. */
export function layersPlot(label: string, full: readonly number[], kept: readonly number[]): string {
  const bars = full.map((all, layer) => ({ layer: layer + 1, all, kept: kept[layer] ?? 0 }));
  return svg({
    height: 200,
    x: { label: 'layer' },
    y: { label: `↑ ${label}`, grid: true },
    marks: [
      Plot.barY(bars, { x: 'layer', y: 'all', fill: FAINT }),
      Plot.barY(bars, { x: 'layer', y: 'kept', fill: LINE }),
      Plot.ruleY([0]),
    ],
  });
}
