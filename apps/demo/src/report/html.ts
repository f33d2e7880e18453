// out/report.html: one self-contained page, no scripts, no links out.
import { contextRows, modelRows } from './headline.ts';
import { lossPlot, paretoPlot, timePlot } from './plots.ts';
import { svgOf } from './svg.ts';
import type { DemoResult } from '../pipeline/result.ts';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function table([header, ...rows]: readonly (readonly string[])[]): string {
  const cells = (values: readonly string[], tag: string): string =>
    values.map((value) => `<${tag}>${escape(value)}</${tag}>`).join('');
  return `<table><thead><tr>${cells(header ?? [], 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}</tbody></table>`;
}

const figure = (id: string, svg: string, caption: string): string =>
  `<figure id="${id}">${svg}<figcaption>${escape(caption)}</figcaption></figure>`;

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:1320px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
.figures{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0}figcaption{font-size:.85rem;color:#52606d;max-width:620px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid #d9e2ec;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}td{vertical-align:top}.wide td{white-space:pre-wrap;overflow-wrap:anywhere;text-align:left}
pre{background:#f5f7fa;padding:1rem;white-space:pre-wrap;overflow-wrap:anywhere}svg{max-width:100%;height:auto}`;

/**
 * Renders the report.
 *
 * @param maskSvg picture of one head's block mask, as SVG text; undefined where none was searched
 */
export function renderReport(result: DemoResult, maskSvg: string | undefined): string {
  const { finetune, search, chosen, generation } = result;
  const front = [...search.front].sort((a, b) => a.macs - b.macs);
  const maskCaption =
    'The keys one head (head 0 of the last layer) attends to under HiP, over the first tokens of the document: queries downwards, keys to the right; the diagonal is the window, the left edge the sinks.';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Fine-tune, search, run with HiP attention</title>
<style>${STYLE}
</style></head><body>
<h1>Fine-tune → search a sub-network → run it with HiP attention</h1>
<div class="figures">
${figure('front', svgOf(paretoPlot(search, chosen)), `${search.evaluations} sub-networks measured on this machine; the line is the Pareto front, hypervolume ${search.hypervolume.toPrecision(5)}.`)}
${figure('loss', svgOf(lossPlot(finetune.history, finetune.lossBefore)), `Fine-tuning as a super-network. Line: the full network on each step's batch; dots: on the validation windows, ${finetune.lossBefore.toFixed(3)} before, ${finetune.lossAfter.toFixed(3)} after ${finetune.steps} steps.`)}
${figure('time', svgOf(timePlot(result.longContext)), 'One prefill of the chosen sub-network: solid the whole prefill, dashed attention alone; both axes logarithmic.')}
${maskSvg === undefined ? '' : figure('mask', maskSvg, maskCaption)}
</div>
<h2>The chosen sub-network: ${escape(chosen.rule)}</h2>
<div class="scroll">${table(modelRows(result))}</div>
<p>${chosen.layers} layers; heads ${chosen.heads.join(' ')}; FFN ${chosen.ffn.join(' ')}. Standalone checkpoint: <code>${escape(chosen.checkpoint)}</code></p>
<h2>Long context: dense against HiP</h2>
<div class="scroll">${table(contextRows(result))}</div>
<h2>The front</h2>
<div class="scroll">${table([
    ['layers', 'heads', 'FFN', 'MACs (G)', 'parameters (M)', 'latency (ms)', 'validation loss'],
    ...front.map((point) => [
      String(point.layers),
      point.heads.join(' '),
      point.ffn.join(' '),
      (point.macs / 1e9).toFixed(3),
      (point.parameters / 1e6).toFixed(2),
      point.latencyMs.toFixed(1),
      point.loss.toFixed(4),
    ]),
  ])}</div>
<h2>${generation.tokens} tokens generated with HiP after ${generation.contextTokens} (${generation.msPerToken.toFixed(1)} ms a token)</h2>
<pre>…${escape(generation.prompt)}<strong>${escape(generation.text)}</strong></pre>
<h2>Everything else</h2>
<div class="scroll wide">${table([['', ''], ...flatten({ finetune: { ...finetune, history: `${finetune.history.length} steps` }, environment: result.environment })])}</div>
</body></html>
`;
}

/** Leaves of nested objects as (dotted path, text). */
function flatten(value: unknown, path = ''): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [[path, typeof value === 'string' ? value : (JSON.stringify(value) ?? '')]];
  }
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, path === '' ? key : `${path}.${key}`));
}
