// The figures as Observable Plot options: the report renders them without a browser, the page in one, while a run goes.
import * as Plot from '@observablehq/plot';
import type { Chosen, CurvePoint, LongContextRow, Search } from '../pipeline/result.ts';

const INK = '#1f2933';
const GREY = '#9aa5b1';
const DENSE = '#b0573c';
const HIP = '#1c6e8c';
const ACCENT = '#d7263d';

const FRAME: Plot.PlotOptions = {
  width: 620,
  height: 340,
  marginLeft: 60,
  marginBottom: 44,
  grid: true,
  style: { background: 'none', color: INK, fontFamily: 'system-ui, sans-serif', fontSize: '12px' },
};

interface Point {
  readonly latencyMs?: number | undefined;
  readonly macs: number;
  readonly loss: number;
}

/** All measured sub-networks and the Pareto front; the full model and the chosen sub-network where they are known. */
export function paretoPlot(
  {
    trials,
    front,
    cost,
  }: Pick<Search, 'cost'> & { readonly trials: readonly Point[]; readonly front: readonly Point[] },
  chosen?: Chosen,
): Plot.PlotOptions {
  const isLatency = cost === 'latency';
  const costOf = ({ latencyMs = NaN, macs }: Pick<Point, 'latencyMs' | 'macs'>): number =>
    isLatency ? latencyMs : macs / 1e9;
  const dots = (points: readonly Point[]) =>
    points.map((point) => ({ x: costOf(point), y: point.loss })).sort((a, b) => a.x - b.x);
  const best = dots(front);
  return {
    ...FRAME,
    x: { label: isLatency ? 'latency (ms, measured here) →' : 'MACs (G) →' },
    y: { label: '↑ validation loss (nats)' },
    marks: [
      Plot.dot(dots(trials), { x: 'x', y: 'y', r: 3, fill: GREY }),
      Plot.line(best, { x: 'x', y: 'y', stroke: HIP, curve: 'step-after' }),
      Plot.dot(best, { x: 'x', y: 'y', r: 4.5, fill: HIP }),
      ...(chosen ? chosenMarks(chosen, costOf, Math.max(...trials.map(({ loss }) => loss))) : []),
    ],
  };
}

function chosenMarks(
  chosen: Chosen,
  costOf: (point: Pick<Point, 'latencyMs' | 'macs'>) => number,
  worstLoss: number,
): Plot.Markish[] {
  const { baseline } = chosen;
  const { lossPretrained } = baseline;
  const full = { x: costOf(baseline), y: baseline.lossFineTuned };
  const picked = { x: costOf(chosen), y: chosen.loss };
  const at = { x: 'x', y: 'y' } as const;
  // Far above everything it would only flatten the rest.
  const isAbove = lossPretrained > worstLoss;
  const text = `pretrained, before fine-tuning: ${lossPretrained.toFixed(2)}${isAbove ? ' ↑' : ''}`;
  return [
    ...(isAbove ? [] : [Plot.ruleY([lossPretrained], { stroke: '#999', strokeDasharray: '4 3' })]),
    Plot.text([text], { frameAnchor: 'top-right', text: (label: string) => label, dy: 2, fill: '#777' }),
    Plot.dot([full], { ...at, r: 6, symbol: 'square', fill: DENSE }),
    Plot.text([full], { ...at, text: () => 'full model, fine-tuned', textAnchor: 'end', dx: -10, dy: 12 }),
    Plot.dot([picked], { ...at, r: 9, stroke: ACCENT, strokeWidth: 2 }),
    Plot.text([picked], { ...at, text: () => 'chosen', dy: -16, fill: ACCENT }),
  ];
}

/** Loss of the full network by step, on the batches and on the validation windows. */
export function lossPlot(history: readonly CurvePoint[], lossBefore?: number): Plot.PlotOptions {
  const trained = history.filter((point) => point.loss !== undefined);
  const validation = [
    ...(lossBefore === undefined ? [] : [{ step: 0, validation: lossBefore }]),
    ...history.filter((point) => point.validation !== undefined).map(({ step, validation }) => ({ step, validation })),
  ];
  return {
    ...FRAME,
    x: { label: 'step →' },
    y: { label: '↑ loss (nats)' },
    marks: [
      ...(lossBefore === undefined ? [] : [Plot.ruleY([lossBefore], { stroke: DENSE, strokeDasharray: '4 3' })]),
      Plot.line(trained, { x: 'step', y: 'loss', stroke: GREY }),
      Plot.line(validation, { x: 'step', y: 'validation', stroke: HIP, strokeWidth: 2 }),
      Plot.dot(validation, { x: 'step', y: 'validation', fill: HIP, r: 4 }),
    ],
  };
}

/** Prefill time against length, both axes logarithmic. */
export function timePlot(longContext: readonly LongContextRow[]): Plot.PlotOptions {
  const whole = longContext.flatMap(({ tokens, denseMs, hipMs }) => [
    { tokens, ms: denseMs, kind: 'dense' },
    { tokens, ms: hipMs, kind: 'HiP' },
  ]);
  const attention = longContext.flatMap(({ tokens, denseAttentionMs, hipAttentionMs }) =>
    denseAttentionMs === undefined || hipAttentionMs === undefined
      ? []
      : [
          { tokens, ms: denseAttentionMs, kind: 'dense' },
          { tokens, ms: hipAttentionMs, kind: 'HiP' },
        ],
  );
  return {
    ...FRAME,
    color: { domain: ['dense', 'HiP'], range: [DENSE, HIP], legend: false },
    x: {
      type: 'log',
      base: 2,
      label: 'tokens →',
      ticks: longContext.map(({ tokens }) => tokens),
      tickFormat: (t: number) => (t % 1024 === 0 ? `${t / 1024}K` : String(t)),
    },
    y: { type: 'log', label: '↑ time (ms)' },
    marks: [
      Plot.line(attention, { x: 'tokens', y: 'ms', z: 'kind', stroke: 'kind', strokeDasharray: '4 3' }),
      Plot.line(whole, { x: 'tokens', y: 'ms', z: 'kind', stroke: 'kind', strokeWidth: 2 }),
      Plot.dot(whole, { x: 'tokens', y: 'ms', fill: 'kind', r: 4 }),
      Plot.text(
        whole,
        Plot.selectLast({ x: 'tokens', y: 'ms', z: 'kind', text: 'kind', textAnchor: 'end', dy: -12, fill: 'kind' }),
      ),
    ],
  };
}
