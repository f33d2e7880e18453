// A study as files: the view as JSON, its trials as CSV.
import type { StudyView } from '@instatune/search/report';

/** One line a trial: number, state, variables, objectives. RFC 4180. */
export function viewCsv(view: StudyView): string {
  const variables = view.variables.map(({ name }) => name);
  const objectives = view.objectives.map(({ name }) => name);
  const lines = view.trials.map((trial) => [
    trial.number,
    trial.state,
    ...variables.map((name) => trial.values[name]),
    ...objectives.map((name) => trial.objectives[name]),
  ]);
  return [['number', 'state', ...variables, ...objectives], ...lines]
    .map((line) => line.map(cell).join(','))
    .join('\r\n')
    .concat('\r\n');
}

function cell(value: StudyView['trials'][number]['values'][string] | undefined): string {
  const text = value === undefined ? '' : typeof value === 'object' ? value.join(' ') : String(value);
  // A spreadsheet would compute what begins like this.
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
