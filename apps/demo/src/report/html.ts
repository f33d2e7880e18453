// out/report.html: one self-contained page, no scripts, no links out, no folder of the machine it was made on.
import { bestReader, countSame } from '../pipeline/derived.ts';
import { findings, READER_NAMES } from './findings.ts';
import { contextRows, modelRows, passKeyRows } from './headline.ts';
import { lossPlot, paretoPlot, timePlot } from './plots.ts';
import { withoutFolders } from './folders.ts';
import { STYLE } from './style.ts';
import { svgOf } from './svg.ts';
import type { DemoResult, PassKeys } from '../pipeline/result.ts';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Every cell knows its column's name: on a phone a row is a card. */
function table([header = [], ...rows]: readonly (readonly string[])[], kind = ''): string {
  const head = header.map((name) => `<th scope="col">${escape(name)}</th>`).join('');
  const line = (row: readonly string[]): string =>
    `<tr>${row.map((value, i) => `<td data-label="${escape(header[i] ?? '')}">${escape(value)}</td>`).join('')}</tr>`;
  return `<table class="${kind}"><thead><tr>${head}</tr></thead><tbody>${rows.map(line).join('\n')}</tbody></table>`;
}

/** Colour, form, what it stands for. */
type Key = readonly [colour: string, form: '' | 'ring' | 'dash', text: string];

const legend = (keys: readonly Key[]): string =>
  `<ul class="legend">${keys.map(([colour, form, text]) => `<li><i class="${form}" style="background:var(--${colour});border-color:var(--${colour})"></i>${escape(text)}</li>`).join('')}</ul>`;

interface Figure {
  readonly id: string;
  readonly title: string;
  readonly svg: string;
  readonly keys?: readonly Key[];
  readonly caption: string;
}

const figure = ({ id, title, svg, keys = [], caption }: Figure): string =>
  `<figure id="${id}"><h3>${escape(title)}</h3>${legend(keys)}${svg}<figcaption>${escape(caption)}</figcaption></figure>`;

function figures({ finetune, search, chosen, longContext }: DemoResult, maskSvg: string | undefined): Figure[] {
  const { baseline } = chosen;
  const hasAttention = longContext.some(({ denseAttentionMs }) => denseAttentionMs !== undefined);
  return [
    {
      id: 'front',
      title: 'Smaller networks: loss against cost',
      svg: svgOf(paretoPlot(search, baseline, chosen)),
      keys: [
        ['grey', '', 'measured'],
        ['hip', '', 'Pareto front'],
        ['dense', '', 'full model, fine-tuned'],
        ['accent', 'ring', 'chosen'],
      ],
      caption: `${search.evaluations} sub-networks, each measured in turn with the full model (${baseline.latencyMs.toFixed(1)} ms). Before fine-tuning the full model’s loss was ${baseline.lossPretrained.toFixed(2)}. Hypervolume ${search.hypervolume.toPrecision(5)}.`,
    },
    {
      id: 'time',
      title: 'Long documents: time against length',
      svg: svgOf(timePlot(longContext)),
      keys: [
        ['dense', '', 'dense, whole prefill'],
        ['hip', '', 'HiP, whole prefill'],
        ...(hasAttention ? ([['grey', 'dash', 'attention alone']] as const) : []),
      ],
      caption: 'One prefill of the chosen sub-network. Both axes are logarithmic.',
    },
    {
      id: 'loss',
      title: 'Fine-tuning: loss by step',
      svg: svgOf(lossPlot(finetune.history, finetune.lossBefore)),
      keys: [
        ['grey', '', 'on the step’s batch'],
        ['hip', '', 'validation'],
        ['dense', 'dash', 'before'],
      ],
      caption: `The full network while it is trained as a super-network: validation loss ${finetune.lossBefore.toFixed(3)} before, ${finetune.lossAfter.toFixed(3)} after ${finetune.steps} steps.`,
    },
    ...(maskSvg === undefined
      ? []
      : [
          {
            id: 'mask',
            title: 'What HiP attends to: one head’s mask',
            svg: maskSvg,
            caption:
              'Head 0 of the last layer over the first tokens of the document: queries downwards, keys to the right. The diagonal is the window, the left edge the sinks, the rest is what the search found.',
          },
        ]),
  ];
}

const quoted = (answers: readonly string[]): string => answers.map((answer) => `“${answer}”`).join(', ');

/** The text, a question and both answers; then all of them. */
function passKeySection(passKeys: PassKeys): string {
  const { keys, tokens, text, readers } = passKeys;
  const best = bestReader(passKeys);
  const shown = Math.max(
    0,
    keys.findIndex(({ digits }, i) => best.dense.answers[i] === digits && best.hip.answers[i] === digits),
  );
  const key = keys[shown]!;
  return `<h2>A question about something far back</h2>
<p>Asked: ${escape(READER_NAMES[best.model])}, over ${tokens.toLocaleString('en-US')} tokens of ${escape(text)} with ${keys.length} pass-keys hidden in it. ${countSame(best)} of ${keys.length} answers are the same.</p>
<blockquote>…${escape(key.before)} <mark>${escape(key.sentence.trim())}</mark>${escape(key.after)}…<span class="gap">[${key.distance.toLocaleString('en-US')} tokens later]</span>${escape(key.question.trim())} <mark>${escape(best.dense.answers[shown]!)}</mark> (dense) <mark>${escape(best.hip.answers[shown]!)}</mark> (HiP)</blockquote>
${table(passKeyRows(passKeys))}
${readers
  .filter((reader) => reader !== best)
  .map(
    (reader) =>
      `<p class="note">Asked too: ${escape(READER_NAMES[reader.model])}. It said ${escape(quoted(reader.dense.answers))} with dense attention and ${escape(quoted(reader.hip.answers))} with HiP.</p>`,
  )
  .join('')}`;
}

/**
 * Renders the report.
 *
 * @param maskSvg picture of one head's block mask, as SVG text; undefined where none was searched
 */
export function renderReport(result: DemoResult, maskSvg: string | undefined): string {
  const clean = withoutFolders(result);
  const { finetune, search, chosen, generation, passKeys } = clean;
  const { baseline } = chosen;
  const front = [...search.front].sort((a, b) => a.macs - b.macs);
  const share = (part: number, whole: number): string => `${Math.round((100 * part) / whole)} %`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Fine-tune, search, run with HiP attention</title>
<style>${STYLE}
</style></head><body>
<h1>A language model, made smaller, reading long documents with HiP attention</h1>
<div class="cards">${findings(clean)
    .map(
      ({ value, sentence }) =>
        `<section class="card"><strong>${escape(value)}</strong><p>${escape(sentence)}</p></section>`,
    )
    .join('\n')}</div>
<div class="figures">
${figures(clean, maskSvg).map(figure).join('\n')}
</div>
${passKeys ? passKeySection(passKeys) : ''}
<h2>The chosen sub-network: ${escape(chosen.rule)}</h2>
${table(modelRows(clean))}
<p class="note">${chosen.layers} layers; heads ${chosen.heads.join(' ')}; FFN ${chosen.ffn.join(' ')}. It stands on its own as a checkpoint in <code>${escape(chosen.checkpoint)}</code> beside this report. Neither training nor search has seen the held-out windows.</p>
<h2>Long context: dense against HiP</h2>
${table(contextRows(clean))}
<p class="note">ppl: perplexity over all the tokens. Mass recall: the share of dense attention’s probability on the keys that HiP keeps. T×T: one layer’s score matrices, which neither materialises.</p>
<h2>The front</h2>
${table([
  ['layers', 'heads', 'FFN', 'MACs', 'parameters', 'time', 'validation loss'],
  ...front.map((point) => [
    String(point.layers),
    point.heads.join(' '),
    point.ffn.join(' '),
    share(point.macs, baseline.macs),
    share(point.parameters, baseline.parameters),
    share(point.latencyMs, baseline.latencyMs),
    point.loss.toFixed(4),
  ]),
])}
<p class="note">Shares of the full model’s ${(baseline.macs / 1e9).toFixed(3)} G multiply-accumulates, ${(baseline.parameters / 1e6).toFixed(2)} M parameters and ${baseline.latencyMs.toFixed(1)} ms.</p>
<h2>Writing after ${generation.contextTokens.toLocaleString('en-US')} tokens: ${generation.msPerToken.toFixed(1)} ms a token</h2>
<p class="note">${generation.tokens} tokens, sampled from the chosen sub-network with HiP attention: what writing costs, from a model too small to write sense.</p>
<pre>…${escape(generation.prompt)}<strong>${escape(generation.text)}</strong></pre>
<h2>Everything else</h2>
${table([['setting', 'value'], ...flatten({ finetune: { ...finetune, history: `${finetune.history.length} steps` }, environment: clean.environment })], 'text')}
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
