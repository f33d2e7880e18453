// The figures as Observable Plot options: the report renders them without a browser, the page in one, while a run goes.
// Colours are the page's custom properties (style.ts), so that one picture serves light and dark; what they mean stands in HTML beside it.
import * as Plot from '@observablehq/plot';
import type { FullCost } from '../pipeline/search.ts';
import type { Chosen, CurvePoint, LongContextRow, Search } from '../pipeline/result.ts';

const GREY = 'var(--grey)';
const DENSE = 'var(--dense)';
const HIP = 'var(--hip)';
const ACCENT = 'var(--accent)';

// Small, so that its words can be read at the width of a phone as at half of a wide page.
const FRAME: Plot.PlotOptions = {
  width: 460,
  height: 300,
  marginLeft: 48,
  marginRight: 24,
  marginTop: 36,
  inset: 12,
  marginBottom: 48,
  grid: true,
  style: { background: 'none', color: 'inherit', fontFamily: 'system-ui, sans-serif', fontSize: '13px' },
};

/** The y axis's name above it; Plot's own is cut off at the top. */
const yName = (text: string): Plot.Markish =>
  Plot.text([text], { text: (words: string) => words, frameAnchor: 'top-left', dx: -40, dy: -26 });

interface Point {
  readonly latencyMs?: number | undefined;
  readonly macs: number;
  readonly loss: number;
}

export interface Front extends Pick<Search, 'cost'> {
  readonly trials: readonly Point[];
  readonly front: readonly Point[];
}

/** All measured sub-networks and the Pareto front by their share of the full model's cost; once they are known, the full model and the chosen sub-network. */
export function paretoPlot({ trials, front, cost }: Front, full: FullCost, chosen?: Chosen): Plot.PlotOptions {
  const isLatency = cost === 'latency';
  const shareOf = ({ latencyMs = NaN, macs }: Pick<Point, 'latencyMs' | 'macs'>): number =>
    isLatency ? latencyMs / full.latencyMs : macs / full.macs;
  const dots = (points: readonly Point[]) =>
    points.map((point) => ({ x: shareOf(point), y: point.loss })).sort((a, b) => a.x - b.x);
  const best = dots(front);
  const all = dots(trials);
  const title = (what: string) => (point: { readonly x: number; readonly y: number }) =>
    `${what}: ${percent(point.x)} of the full model’s ${isLatency ? 'time' : 'MACs'}, loss ${point.y.toFixed(3)}`;
  const at = { x: 'x', y: 'y' } as const;
  const whole = chosen && [{ x: 1, y: chosen.baseline.lossFineTuned }];
  const picked = chosen && [{ x: shareOf(chosen), y: chosen.loss }];
  return {
    ...FRAME,
    x: {
      labelOffset: 40,
      label: isLatency ? 'time, share of the full model →' : 'MACs, share of the full model →',
      ticks: 6,
      tickFormat: percent,
    },
    y: { label: null, ticks: 6 },
    marks: [
      yName('↑ validation loss (nats)'),
      Plot.dot(all, { ...at, r: 3.5, fill: GREY, title: title('measured') }),
      Plot.line(best, { ...at, stroke: HIP, curve: 'step-after' }),
      Plot.dot(best, { ...at, r: 5, fill: HIP, title: title('on the front') }),
      ...(whole
        ? [Plot.dot(whole, { ...at, r: 6, symbol: 'square', fill: DENSE, title: title('full model, fine-tuned') })]
        : []),
      ...(picked ? [Plot.dot(picked, { ...at, r: 9, stroke: ACCENT, strokeWidth: 2.5, title: title('chosen') })] : []),
    ],
  };
}

const percent = (share: number): string => `${Math.round(100 * share)}%`;

/** Loss of the full network by step, on the batches and on the validation windows. */
export function lossPlot(history: readonly CurvePoint[], lossBefore?: number): Plot.PlotOptions {
  const trained = history.filter((point) => point.loss !== undefined);
  const validation = [
    ...(lossBefore === undefined ? [] : [{ step: 0, validation: lossBefore }]),
    ...history.filter((point) => point.validation !== undefined).map(({ step, validation }) => ({ step, validation })),
  ];
  return {
    ...FRAME,
    x: { labelOffset: 40, label: 'step →', ticks: 6 },
    y: { label: null, ticks: 6 },
    marks: [
      yName('↑ loss (nats)'),
      ...(lossBefore === undefined ? [] : [Plot.ruleY([lossBefore], { stroke: DENSE, strokeDasharray: '4 3' })]),
      Plot.line(trained, { x: 'step', y: 'loss', stroke: GREY }),
      Plot.line(validation, { x: 'step', y: 'validation', stroke: HIP, strokeWidth: 2 }),
      Plot.dot(validation, {
        x: 'step',
        y: 'validation',
        fill: HIP,
        r: 4,
        title: ({ step, validation: loss }: { step: number; validation: number }) =>
          `validation after ${step} steps: ${loss.toFixed(3)}`,
      }),
    ],
  };
}

/** Prefill time against length, both axes logarithmic. */
export function timePlot(longContext: readonly LongContextRow[]): Plot.PlotOptions {
  const at = { x: 'tokens', y: 'seconds' } as const;
  const line = (
    kind: string,
    stroke: string,
    whole: (row: LongContextRow) => number,
    inside: (row: LongContextRow) => number | undefined,
  ): Plot.Markish[] => {
    const points = longContext.map((row) => ({ tokens: row.tokens, seconds: whole(row) / 1000 }));
    const attention = longContext.flatMap((row) => {
      const ms = inside(row);
      return ms === undefined ? [] : [{ tokens: row.tokens, seconds: ms / 1000 }];
    });
    const title = (what: string) => (point: { tokens: number; seconds: number }) =>
      `${what}, ${point.tokens.toLocaleString('en-US')} tokens: ${point.seconds.toFixed(2)} s`;
    return [
      Plot.line(attention, { ...at, stroke, strokeDasharray: '4 3' }),
      Plot.dot(attention, { ...at, r: 2.5, stroke, fill: 'var(--paper)', title: title(`${kind} attention alone`) }),
      Plot.line(points, { ...at, stroke, strokeWidth: 2 }),
      Plot.dot(points, { ...at, fill: stroke, r: 4.5, title: title(`${kind} prefill`) }),
    ];
  };
  return {
    ...FRAME,
    x: {
      type: 'log',
      base: 2,
      labelOffset: 40,
      label: 'tokens →',
      ticks: longContext.map(({ tokens }) => tokens),
      tickFormat: (t: number) => (t % 1024 === 0 ? `${t / 1024}K` : String(t)),
    },
    y: { type: 'log', label: null, ticks: 5, tickFormat: (t: number) => String(Number(t.toPrecision(2))) },
    marks: [
      yName('↑ time (s)'),
      ...line(
        'dense',
        DENSE,
        (row) => row.denseMs,
        (row) => row.denseAttentionMs,
      ),
      ...line(
        'HiP',
        HIP,
        (row) => row.hipMs,
        (row) => row.hipAttentionMs,
      ),
    ],
  };
}
