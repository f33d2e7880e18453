// Names and values as people read them.
import { shortNumber } from '../report/format.ts';
import type { ViewObjective, ViewTrial, ViewValue } from './data.ts';

/** `latency (ms)`. */
export function objectiveLabel({ name, unit }: ViewObjective): string {
  return unit === undefined || unit === '' ? name : `${name} (${unit})`;
}

/** Numbers in five digits, permutations in a row, nothing for what has no value. */
export function shownValue(value: ViewValue | undefined): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number') return shortNumber(value);
  return typeof value === 'object' ? value.join(' ') : String(value);
}

/** What is said of a trial beside the pointer: number, objectives with their errors, variables. */
export function trialText(trial: ViewTrial, objectives: readonly ViewObjective[]): string {
  const measured = objectives.map((objective) => {
    const error = trial.standardErrors?.[objective.name];
    const value = shortNumber(trial.objectives[objective.name]);
    return `${objectiveLabel(objective)}: ${value}${error === undefined ? '' : ` ± ${shortNumber(error)}`}`;
  });
  const variables = Object.entries(trial.values).map(([name, value]) => `${name}: ${shownValue(value)}`);
  const most = 12;
  const shown =
    variables.length > most ? [...variables.slice(0, most), `… ${variables.length - most} more`] : variables;
  return [`trial ${trial.number}`, ...measured, ...shown].join('\n');
}
