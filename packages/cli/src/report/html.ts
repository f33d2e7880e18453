// The report of a run: one self-contained page. What was given, what came out, how it was found.
import { frontPlot, historyPlot } from '@instatune/search/report';
import { ONNX_FILES } from '../steps/export.ts';
import { describeSubnet } from '../steps/search.ts';
import { STAGE_TITLES, type Stage } from '../steps/stages.ts';
import { metricOf } from '../data/task.ts';
import type { TuneFindings, TuneOutcome } from '../run/outcome.ts';
import { layersPlot, lossPlot, sharesPlot } from './plots.ts';
import { missesText } from './misses.ts';
import { duration, shown } from './numbers.ts';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const figure = (svg: string, caption: string): string =>
  `<figure>${svg}<figcaption>${escape(caption)}</figcaption></figure>`;

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (values: readonly string[], tag: string) =>
    values.map((value) => `<${tag}>${escape(value)}</${tag}>`).join('');
  return `<table><thead><tr>${cells(header, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('')}</tbody></table>`;
}

/** Costs that every run has. */
export const COSTS = ['latency', 'macs', 'parameters', 'bytes', 'memory'] as const;

/** What the report is made of: a finished run, or one whose budget nothing met. */
export type Reported =
  | { readonly outcome: TuneOutcome; readonly files: readonly ReportedFile[] }
  | { readonly findings: TuneFindings; readonly unmet: string };

/** A written file, and what was measured of it. */
export interface ReportedFile {
  readonly name: string;
  readonly bytes: number;
  /** On the reported data, as the file computes. */
  readonly quality?: Readonly<Record<string, number>> | undefined;
  /** What computed it. */
  readonly measuredBy?: string | undefined;
}

/** Renders the page: no scripts, nothing loaded from elsewhere. */
export function renderTuneReport(reported: Reported): string {
  const findings = 'outcome' in reported ? reported.outcome : reported.findings;
  const { card, data, settings, result, training } = findings;
  const title = `${data.task}: ${card.location} within ${settings.budget.join(', ')}`;
  const [first = 'macs'] = settings.objectives;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escape(title)}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:1360px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
.figures{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0}figcaption{font-size:.85rem;color:#52606d;max-width:640px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.25rem .7rem;border-bottom:1px solid #d9e2ec;text-align:right}
th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}
</style></head><body>
<h1>${escape(title)}</h1>
<p>${escape(`${data.described}. ${settings.steps} steps of ${settings.batchSize} at ${Number(settings.learningRate.toPrecision(6))}, seed ${settings.seed}, on tfjs ${findings.backend}; latencies on ${findings.runtime}.`)}</p>
${'outcome' in reported ? outcomeSection(reported.outcome, reported.files) : `<p><strong>${escape(reported.unmet)}</strong></p>`}
<h2>The search</h2>
<div class="figures">
${settings.objectives.map((name) => figure(frontPlot(result, name, 'loss'), 'Every measured sub-network, darker in later rounds; blue: the front; square: the full network.')).join('\n')}
${figure(historyPlot(result), 'The front’s hypervolume as measurements came in.')}
</div>
<p>${escape(`${result.trials.length} sub-networks measured, ${result.front.length} on the front of loss and ${settings.objectives.join(', ')}. The search saw its own part of the data only.`)}</p>
${frontTable(findings, first)}
<h2>Training</h2>
<div class="figures">
${training.length === 0 ? '' : figure(lossPlot(training), 'The super-network: losses of the full network and of a random sub-network, summed; dark: running mean.')}
${'outcome' in reported && reported.outcome.refining.length > 0 ? figure(lossPlot(reported.outcome.refining), 'The chosen sub-network by itself, learning from the full one.') : ''}
</div>
<h2>Time</h2>
${table(
  ['stage', 'time'],
  Object.entries(findings.seconds).map(([stage, seconds]) => [
    STAGE_TITLES[stage as Stage] ?? stage,
    duration(seconds),
  ]),
)}
</body></html>
`;
}

function outcomeSection(outcome: TuneOutcome, files: readonly ReportedFile[]): string {
  const { full, small, choice, subnet, result, data } = outcome;
  const qualities = ['loss', ...(data.problem === 'regression' ? [] : ['accuracy']), metricOf(data)].filter(
    (name, index, all) => all.indexOf(name) === index,
  );
  const rows = [...qualities, ...COSTS].map((name) => [
    name,
    shown(name, full[name]),
    shown(name, small[name]),
    share(full[name], small[name]),
  ]);
  const perLayer = Object.entries(subnet).flatMap(([name, kept]) => {
    const all: unknown = outcome.fullSubnet[name as keyof typeof outcome.fullSubnet];
    return isCounts(kept) && isCounts(all)
      ? [figure(layersPlot(name, all, kept.slice(0, subnet.layers)), `${name} of each layer; grey: cut.`)]
      : [];
  });
  const missed = missesText(outcome.missed);
  return `<h2>The chosen sub-network</h2>
<p>${escape(
    `${choice.rule}, of ${result.trials.length}: ${Object.entries(describeSubnet(subnet))
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}. ${reconstructionText(outcome)} ${refiningText(outcome)}`,
  )}</p>
${table(['on held-out data', 'full network', 'chosen', 'of the full'], rows)}
${missed === '' ? '' : `<p><strong>${escape(missed)}</strong></p>`}
<div class="figures">
${figure(sharesPlot(full, small, COSTS), 'What is left of the full network.')}
${perLayer.join('\n')}
</div>
<h2>Files</h2>
<p>${escape(`bytes is the size of ${ONNX_FILES[outcome.settings.quantize]}. ${measuredText(files)}`)}</p>
${table(
  ['file', 'size', ...qualities],
  files.map(({ name, bytes, quality }) => [
    name,
    shown('bytes', bytes),
    ...qualities.map((each) => (quality ? shown(each, quality[each]) : '')),
  ]),
)}`;
}

/** Where files' quality comes from, in a sentence. */
export function measuredText(files: readonly ReportedFile[]): string {
  const by = [...new Set(files.flatMap(({ measuredBy }) => measuredBy ?? []))];
  return by.length === 0 ? '' : `The quality of a file was measured on the held-out data, by ${by.join(' and ')}.`;
}

/** What became of the chosen one by itself, in a sentence. */
export function refiningText({ refined, settings: { tuneSteps } }: TuneOutcome): string {
  if (tuneSteps === 0) return 'It was not trained by itself.';
  const what = `${tuneSteps} steps by itself, learning from the full network,`;
  return refined
    ? `It was trained for ${what} which the search’s data found as good at least.`
    : `Another ${what} were no gain on the search’s data, and were left out.`;
}

/** What fitting the chosen one again came to, in a sentence. */
export function reconstructionText({ reconstructed, data }: TuneOutcome): string {
  if (!reconstructed) return '';
  const { kept, before, after } = reconstructed;
  const names = [...new Set(['loss', metricOf(data)])];
  const changes = names.map((name) => `${name} ${shown(name, before[name])} → ${shown(name, after[name])}`).join(', ');
  const what = `Its output projections, fitted again by least squares to what the full network computes,`;
  return kept
    ? `${what} gave ${changes} on the search’s data, and were kept.`
    : `${what} gave ${changes} on the search’s data, and were left out.`;
}

const isCounts = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'number');

const share = (full: number | undefined, small: number | undefined): string =>
  full === undefined || small === undefined ? '' : `${((100 * small) / full).toFixed(1)} %`;

function frontTable({ result, data, settings }: TuneFindings, first: string): string {
  const names = [...new Set(['loss', metricOf(data), first, ...settings.objectives, 'macs', 'parameters'])];
  return table(
    ['trial', ...names],
    result.front.map(({ number, values }) => [String(number), ...names.map((name) => shown(name, values[name]))]),
  );
}
