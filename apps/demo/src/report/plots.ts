// The report's figures as standalone SVG text (Observable Plot on linkedom: no browser needed).
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { DemoResult } from '../pipeline/result.ts';

const { document } = parseHTML('<!doctype html><html><body></body></html>');
const INK = '#1f2933';
const DENSE = '#b0573c';
const HIP = '#1c6e8c';

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
export function paretoPlot(result: DemoResult): string {
  const { trials, front } = result.search;
  const { baseline } = result.chosen;
  return svg({
    grid: true,
    x: { label: 'latency (ms, measured here) →' },
    y: { label: '↑ validation loss (nats)' },
    marks: [
      Plot.ruleY([baseline.lossPretrained], { stroke: '#999', strokeDasharray: '4 3' }),
      Plot.text([[baseline.latencyMs, baseline.lossPretrained]], { text: ['pretrained, before fine-tuning'], textAnchor: 'end', dy: -7, fill: '#777' }),
      Plot.dot(trials, { x: 'latencyMs', y: 'loss', r: 3, fill: '#9aa5b1' }),
      Plot.line([...front].sort((a, b) => a.latencyMs - b.latencyMs), { x: 'latencyMs', y: 'loss', stroke: HIP, curve: 'step-after' }),
      Plot.dot(front, { x: 'latencyMs', y: 'loss', r: 4.5, fill: HIP }),
      Plot.dot([baseline], { x: 'latencyMs', y: 'lossFineTuned', r: 6, symbol: 'square', fill: DENSE }),
      Plot.text([baseline], { x: 'latencyMs', y: 'lossFineTuned', text: () => 'full model, fine-tuned', textAnchor: 'end', dx: -10 }),
      Plot.dot([result.chosen], { x: 'latencyMs', y: 'loss', r: 9, stroke: '#d7263d', strokeWidth: 2 }),
      Plot.text([result.chosen], { x: 'latencyMs', y: 'loss', text: () => 'chosen', dy: -16, fill: '#d7263d' }),
    ],
  });
}

/** Training loss by step. */
export function lossPlot(result: DemoResult): string {
  const { history, lossBefore, lossAfter } = result.finetune;
  return svg({
    grid: true,
    x: { label: 'step →' },
    y: { label: '↑ loss (nats)' },
    marks: [
      Plot.ruleY([lossBefore], { stroke: DENSE, strokeDasharray: '4 3' }),
      Plot.ruleY([lossAfter], { stroke: HIP, strokeDasharray: '4 3' }),
      Plot.line(history, { x: 'step', y: (d: { fullLoss?: number; loss: number }) => d.fullLoss ?? d.loss, stroke: HIP }),
      ...(history.some((d) => d.subnetLoss !== undefined) ? [Plot.line(history, { x: 'step', y: 'subnetLoss', stroke: '#9aa5b1' })] : []),
    ],
  });
}

/** Attention time of one prefill against its length, both axes logarithmic. */
export function timePlot(result: DemoResult): string {
  const rows = result.longContext.flatMap((row) => [
    { tokens: row.tokens, ms: row.denseAttentionMs, kind: 'dense' },
    { tokens: row.tokens, ms: row.hipAttentionMs, kind: 'HiP' },
  ]);
  return svg({
    grid: true,
    color: { domain: ['dense', 'HiP'], range: [DENSE, HIP], legend: false },
    x: { type: 'log', base: 2, label: 'tokens →', ticks: result.longContext.map((row) => row.tokens), tickFormat: (t: number) => `${t / 1024}K` },
    y: { type: 'log', label: '↑ attention time (ms)' },
    marks: [
      Plot.line(rows, { x: 'tokens', y: 'ms', stroke: 'kind', strokeWidth: 2 }),
      Plot.dot(rows, { x: 'tokens', y: 'ms', fill: 'kind', r: 4 }),
      Plot.text(rows, Plot.selectLast({ x: 'tokens', y: 'ms', z: 'kind', text: 'kind', textAnchor: 'end', dy: -12, fill: 'kind' })),
    ],
  });
}
