// The report of a search: one self-contained HTML page with the front, its history and every round.
import type { Variable } from '@instatune/nsga2';
import { frontProbabilities, standardErrors } from '../noise/uncertainty.ts';
import type { SearchResult } from '../run/progress.ts';
import { candidateText } from '../study/labels.ts';
import { shortNumber } from './format.ts';
import { frontPlot, historyPlot } from './plots.ts';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (values: readonly string[], tag: string): string =>
    values.map((value) => `<${tag}>${escape(value)}</${tag}>`).join('');
  return `<table><thead><tr>${cells(header, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('')}</tbody></table>`;
}

const figure = (svg: string, caption: string): string =>
  `<figure>${svg}<figcaption>${escape(caption)}</figcaption></figure>`;

export interface ReportOptions {
  /** The problem's own `describe`, for the front's table. @defaultValue variables by name and value */
  readonly describe?: ((genes: readonly number[]) => Readonly<Record<string, unknown>>) | undefined;
  /** @defaultValue the study's and problem's names */
  readonly title?: string;
}

/**
 * Renders a search as one HTML page: no scripts, nothing loaded from elsewhere.
 *
 * @throws SearchError `missing-package` where @observablehq/plot or linkedom is not installed
 *
 * @example
 * writeFileSync('report.html', renderReport(await runSearch(problem, { evaluations: 250 })));
 */
export function renderReport(result: SearchResult, { describe, title }: ReportOptions = {}): string {
  const { header, trials, front, history } = result;
  const names = header.objectives.map(({ name }) => name);
  const complete = trials.filter(({ status }) => status === 'complete');
  const failed = trials.filter(({ status }) => status === 'failed');
  const noisy = front.some(({ values }) => Object.keys(standardErrors(values)).length > 0);
  const sure = noisy ? frontProbabilities(result) : new Map<number, number>();
  const withError = (values: Readonly<Record<string, number>>, name: string) => {
    const error = standardErrors(values)[name];
    return `${shortNumber(values[name])}${error === undefined ? '' : ` ± ${shortNumber(Number(error.toPrecision(2)))}`}`;
  };
  const hosts = [...new Set(complete.map(({ host }) => host ?? ''))].sort();
  const heading = title ?? `${header.problem}: study "${header.name}"`;
  const pairs = names.flatMap((x, i) => names.slice(i + 1).map((y) => [y, x] as const));
  const splits = [...new Set(result.reports.map(({ split }) => split))];
  const rounds = [...new Set(trials.map(({ round }) => round))].map((round) => {
    const own = trials.filter((trial) => trial.round === round);
    const info = result.study.rounds.find((r) => r.round === round)?.info ?? {};
    const at = history.findLast((point) => point.evaluations <= own.at(-1)!.number + 1);
    const { seconds, proposed: _, ...rest } = info;
    return [
      String(round),
      [...new Set(own.map(({ origin }) => origin))].join(', '),
      String(own.length),
      shortNumber(at?.hypervolume),
      typeof seconds === 'number' ? seconds.toFixed(2) : '',
      Object.entries(rest)
        .map(
          ([key, value]) =>
            `${key}: ${typeof value === 'number' ? shortNumber(value) : typeof value === 'string' ? value : JSON.stringify(value)}`,
        )
        .join('; '),
    ];
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escape(heading)}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:1360px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
.figures{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0}figcaption{font-size:.85rem;color:#52606d;max-width:640px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.25rem .7rem;border-bottom:1px solid #d9e2ec;text-align:right}
th:last-child,td:last-child{text-align:left}svg{max-width:100%;height:auto}
</style></head><body>
<h1>${escape(heading)}</h1>
<p>${escape(`Tactic ${header.tactic}, seed ${header.seed}: ${complete.length} candidates measured on ${hosts.join(', ') || 'no host'}, ${failed.length} failed; ${front.length} on the front; hypervolume ${shortNumber(result.hypervolume)} against ${names.map((name) => `${name} ${shortNumber(result.reference[name])}`).join(', ')}.`)}</p>
${result.bounds.length === 0 ? '' : `<p>${escape(`Constraints: ${result.bounds.map(({ text, name, relation, bound }) => `${text} (${name} ${relation} ${shortNumber(bound)})`).join('; ')}.`)}</p>`}
<div class="figures">
${pairs.map(([x, y]) => figure(frontPlot(result, x, y), 'Every measured candidate, darker in later rounds; blue: the front; square: the baseline; dashed: constraints.')).join('\n')}
${figure(historyPlot(result), 'The front’s hypervolume as measurements came in; dotted: the start of a round.')}
</div>
<h2>The front</h2>
${table(
  [
    'trial',
    ...names,
    ...(noisy ? ['probability'] : []),
    ...splits.flatMap((split) => names.map((name) => `${name} (${split})`)),
    'candidate',
  ],
  front.map((point) => [
    String(point.number),
    ...names.map((name) => withError(point.values, name)),
    ...(noisy ? [(sure.get(point.number) ?? 0).toFixed(2)] : []),
    ...splits.flatMap((split) => {
      const report = result.reports.find((r) => r.number === point.number && r.split === split);
      return names.map((name) => shortNumber(report?.values[name]));
    }),
    candidateText(header.space as readonly Variable[], point.genes, describe),
  ]),
)}
<h2>Rounds</h2>
${table(['round', 'proposed by', 'trials', 'hypervolume after', 'seconds to propose', 'how'], rounds)}
${
  failed.length === 0
    ? ''
    : `<h2>Failed trials</h2>\n${table(
        ['trial', 'attempts', 'error'],
        failed.map((trial) => [String(trial.number), String(trial.attempts), trial.error ?? '']),
      )}`
}
</body></html>
`;
}
