// A study as CSV (RFC 4180) or JSON, for spreadsheets and notebooks.
import type { Variable } from '@instatune/nsga2';
import { geneNames, geneValues, valueText } from './labels.ts';
import type { Study } from './study.ts';
import { encodeValues } from './values.ts';

/** Everything of a study as JSON-able data; values that are `NaN` or infinite, of which JSON would make `null`, as text. */
export function studyToJson(study: Study): Record<string, unknown> {
  return {
    header: study.header,
    reference: study.reference ?? null,
    trials: study.trials.map((trial) => (trial.values ? { ...trial, values: encodeValues(trial.values) } : trial)),
    rounds: study.rounds,
    reports: study.reports.map((report) => ({ ...report, values: encodeValues(report.values) })),
  };
}

/** What spreadsheets take for a formula: a text that begins so gets an apostrophe before it, which they hide. */
const FORMULA = /^[=+\-@\t\r]/;

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  const given = typeof value === 'number' ? String(value) : valueText(value);
  const text = typeof value !== 'number' && FORMULA.test(given) ? `'${given}` : given;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * One row per trial: its fields, a column per recorded value, a column per variable by its name (a category's own value, `true` or `false`;
 * a permutation has a column a place, `name.0`, `name.1`, …), a column per reported value (`split.name`). Texts that a spreadsheet would take for a formula
 * begin with an apostrophe. Numbers are written in full (they parse back to the same doubles), `NaN` and `Infinity` as these words, null as nothing.
 */
export function studyToCsv(study: Study): string {
  const objectives = study.header.objectives.map(({ name }) => name);
  const others = new Set(study.trials.flatMap((trial) => Object.keys(trial.values ?? {})));
  const values = [...objectives, ...[...others].filter((name) => !objectives.includes(name)).sort()];
  const space = study.header.space as readonly Variable[];
  const reports = new Map(study.reports.map((report) => [`${report.number} ${report.split}`, report]));
  const splits = [...new Set(study.reports.map(({ split }) => split))].sort();
  const reported = splits.flatMap((split) => values.map((name) => ({ split, name })));
  const first = ['number', 'round', 'origin', 'status', ...values];
  const last = ['seed', 'attempts', 'host', 'worker', 'started_at', 'duration_ms', 'error'];
  const header = [
    ...first,
    ...geneNames(space, [...first, ...last]),
    ...reported.map(({ split, name }) => `${split}.${name}`),
    ...last,
  ];
  const rows = study.trials.map((trial) => [
    trial.number,
    trial.round,
    trial.origin,
    trial.status,
    ...values.map((name) => trial.values?.[name]),
    ...geneValues(space, trial.genes),
    ...reported.map(({ split, name }) => reports.get(`${trial.number} ${split}`)?.values[name]),
    trial.seed,
    trial.attempts,
    trial.host,
    trial.worker,
    trial.startedAt === undefined ? undefined : new Date(trial.startedAt).toISOString(),
    trial.durationMs,
    trial.error,
  ]);
  return `${[header, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}
