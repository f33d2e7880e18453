// The report's figures as standalone SVG text (Observable Plot on linkedom: no browser needed).
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { DemoResult } from '../pipeline/result.ts';

const { document } = parseHTML('<!doctype html><html><body></body></html>');
const INK = '#1f2933';
const GREY = '#9aa5b1';
const DENSE = '#b0573c';
const HIP = '#1c6e8c';
const ACCENT = '#d7263d';

function svg(options: Plot.PlotOptions): string {
  const figure = Plot.plot({
    document: document as unknown as Document,
    width: 620,
    height: 340,
    marginLeft: 60,
    marginBottom: 44,
    style: { background: 'none', color: INK, fontFamily: 'system-ui, sans-serif', fontSize: '12px' },
    ...options,
  });
  return figure.outerHTML;
}

/** All measured sub-networks, the Pareto front, the full model and the chosen one. */
export function paretoPlot({ search, chosen }: DemoResult): string {
  const { baseline } = chosen;
  const isLatency = search.cost === 'latency';
  const costOf = (point: { readonly latencyMs?: number | undefined; readonly macs: number }): number =>
    isLatency ? (point.latencyMs ?? NaN) : point.macs / 1e9;
  const dots = (
    points: readonly { readonly latencyMs?: number | undefined; readonly macs: number; readonly loss: number }[],
  ) => points.map((point) => ({ x: costOf(point), y: point.loss })).sort((a, b) => a.x - b.x);
  const front = dots(search.front);
  const full = { x: costOf(baseline), y: baseline.lossFineTuned };
  const picked = { x: costOf(chosen), y: chosen.loss };
  return svg({
    grid: true,
    x: { label: isLatency ? 'latency (ms, measured here) →' : 'MACs (G) →' },
    y: { label: '↑ validation loss (nats)' },
    marks: [
      Plot.ruleY([baseline.lossPretrained], { stroke: '#999', strokeDasharray: '4 3' }),
      Plot.text([{ x: full.x, y: baseline.lossPretrained }], {
        x: 'x',
        y: 'y',
        text: () => 'pretrained, before fine-tuning',
        textAnchor: 'end',
        dy: -7,
        fill: '#777',
      }),
      Plot.dot(dots(search.trials), { x: 'x', y: 'y', r: 3, fill: GREY }),
      Plot.line(front, { x: 'x', y: 'y', stroke: HIP, curve: 'step-after' }),
      Plot.dot(front, { x: 'x', y: 'y', r: 4.5, fill: HIP }),
      Plot.dot([full], { x: 'x', y: 'y', r: 6, symbol: 'square', fill: DENSE }),
      Plot.text([full], { x: 'x', y: 'y', text: () => 'full model, fine-tuned', textAnchor: 'end', dx: -10, dy: 12 }),
      Plot.dot([picked], { x: 'x', y: 'y', r: 9, stroke: ACCENT, strokeWidth: 2 }),
      Plot.text([picked], { x: 'x', y: 'y', text: () => 'chosen', dy: -16, fill: ACCENT }),
    ],
  });
}

/** Loss of the full network by step, on the batches and on the validation windows. */
export function lossPlot({ finetune }: DemoResult): string {
  const { history, lossBefore } = finetune;
  const trained = history.filter((point) => point.loss !== undefined);
  const validation = [
    { step: 0, validation: lossBefore },
    ...history.filter((point) => point.validation !== undefined).map(({ step, validation }) => ({ step, validation })),
  ];
  return svg({
    grid: true,
    x: { label: 'step →' },
    y: { label: '↑ loss (nats)' },
    marks: [
      Plot.ruleY([lossBefore], { stroke: DENSE, strokeDasharray: '4 3' }),
      Plot.line(trained, { x: 'step', y: 'loss', stroke: GREY }),
      Plot.line(validation, { x: 'step', y: 'validation', stroke: HIP, strokeWidth: 2 }),
      Plot.dot(validation, { x: 'step', y: 'validation', fill: HIP, r: 4 }),
    ],
  });
}

/** Prefill time against length, both axes logarithmic. */
export function timePlot({ longContext }: DemoResult): string {
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
  return svg({
    grid: true,
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
      Plot.line(attention, { x: 'tokens', y: 'ms', stroke: 'kind', strokeDasharray: '4 3' }),
      Plot.line(whole, { x: 'tokens', y: 'ms', stroke: 'kind', strokeWidth: 2 }),
      Plot.dot(whole, { x: 'tokens', y: 'ms', fill: 'kind', r: 4 }),
      Plot.text(
        whole,
        Plot.selectLast({ x: 'tokens', y: 'ms', z: 'kind', text: 'kind', textAnchor: 'end', dy: -12, fill: 'kind' }),
      ),
    ],
  });
}
