// out/report.html: one self-contained page, no scripts, no links out.
import { readableBytes } from './headline.ts';
import { lossPlot, paretoPlot, timePlot } from './plots.ts';
import type { DemoResult } from '../pipeline/result.ts';

const escape = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = (values: readonly (string | number)[], tag: string): string => values.map((value) => `<${tag}>${escape(String(value))}</${tag}>`).join('');
  return `<table><thead><tr>${cells(header, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('')}</tbody></table>`;
}

const figure = (svg: string, caption: string): string => `<figure>${svg}<figcaption>${escape(caption)}</figcaption></figure>`;

/**
 * Renders the report.
 *
 * @param maskSvg picture of one head's block mask, as SVG text
 */
export function renderReport(result: DemoResult, maskSvg: string, maskCaption: string): string {
  const { finetune, search, chosen, longContext, generation } = result;
  const front = [...search.front].sort((a, b) => a.latencyMs - b.latencyMs);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Fine-tune, search, run with HiP attention</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:1320px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
.figures{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0}figcaption{font-size:.85rem;color:#52606d;max-width:620px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.25rem .7rem;border-bottom:1px solid #d9e2ec;text-align:right}
th:first-child,td:first-child{text-align:left}pre{background:#f5f7fa;padding:1rem;white-space:pre-wrap;overflow-wrap:anywhere}svg{max-width:100%;height:auto}
</style></head><body>
<h1>Fine-tune → search a sub-network → run it with HiP attention</h1>
<div class="figures">
${figure(paretoPlot(result), `${search.evaluations} sub-networks measured on this machine; the line is the Pareto front, hypervolume ${search.hypervolume.toPrecision(5)}.`)}
${figure(lossPlot(result), `Fine-tuning as a super-network: validation loss ${finetune.lossBefore.toFixed(3)} before, ${finetune.lossAfter.toFixed(3)} after ${finetune.steps} steps. Grey: the sampled sub-network of each step.`)}
${figure(timePlot(result), 'Time spent in attention during one prefill of the chosen sub-network, both axes logarithmic.')}
${figure(maskSvg, maskCaption)}
</div>
<h2>The front</h2>
${table(
  ['layers', 'heads', 'FFN', 'MACs (G)', 'parameters (M)', 'latency (ms)', 'loss'],
  front.map((point) => [
    point.layers,
    point.heads.slice(0, point.layers).join(' '),
    point.ffn.slice(0, point.layers).join(' '),
    (point.macs / 1e9).toFixed(3),
    (point.parameters / 1e6).toFixed(2),
    point.latencyMs.toFixed(1),
    point.loss.toFixed(4),
  ]),
)}
<h2>The chosen sub-network (${escape(chosen.rule)})</h2>
${table(
  ['', 'MACs (G)', 'parameters (M)', 'latency (ms)', 'validation loss', 'held-out loss'],
  [
    ['full, pretrained', chosen.baseline.macs / 1e9, chosen.baseline.parameters / 1e6, chosen.baseline.latencyMs, chosen.baseline.lossPretrained, chosen.baseline.reportLossPretrained],
    ['full, fine-tuned', chosen.baseline.macs / 1e9, chosen.baseline.parameters / 1e6, chosen.baseline.latencyMs, chosen.baseline.lossFineTuned, chosen.baseline.reportLossFineTuned],
    ['chosen', chosen.macs / 1e9, chosen.parameters / 1e6, chosen.latencyMs, chosen.loss, chosen.reportLoss],
  ].map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toFixed(3) : cell))),
)}
<p>Checkpoint: <code>${escape(chosen.checkpoint)}</code></p>
<h2>Long context: dense against HiP</h2>
${table(
  ['tokens', 'dense (ms)', 'HiP (ms)', 'attention dense (ms)', 'attention HiP (ms)', 'faster', 'dense tok/s', 'HiP tok/s', 'dense ppl', 'HiP ppl', 'mass recall', 'dense buffers', 'HiP buffers', 'a T×T matrix'],
  longContext.map((row) => [
    row.tokens,
    row.denseMs.toFixed(0),
    row.hipMs.toFixed(0),
    row.denseAttentionMs.toFixed(0),
    row.hipAttentionMs.toFixed(0),
    `${(row.denseAttentionMs / row.hipAttentionMs).toFixed(1)}×`,
    row.denseTokensPerSecond.toFixed(0),
    row.hipTokensPerSecond.toFixed(0),
    row.densePpl.toFixed(3),
    row.hipPpl.toFixed(3),
    row.massRecall.toFixed(4),
    readableBytes(row.denseBytes),
    readableBytes(row.hipBytes),
    readableBytes(row.materializedBytes),
  ]),
)}
<h2>${generation.tokens} tokens generated with HiP (${generation.msPerToken.toFixed(1)} ms a token)</h2>
<pre>…${escape(generation.prompt)}<strong>${escape(generation.text)}</strong></pre>
<h2>Environment</h2>
${table(['', ''], Object.entries(result.environment).map(([key, value]) => [key, typeof value === 'object' ? JSON.stringify(value) : String(value)]))}
</body></html>
`;
}
