// Rows of the view's table: which are shown, in which order, and what stands in them.
import type { StudyView, ViewTrial, ViewValue } from './data.ts';
import { remembered, viewFront } from './front.ts';
import { objectiveLabel, shownValue } from './label.ts';

/** A column: its name as filters write it, what stands above it, and a trial's value in it. */
export interface ViewColumn {
  readonly name: string;
  readonly label: string;
  value(trial: ViewTrial): ViewValue | undefined;
}

/** Number and state, objectives and what else was measured, variables, time, error. */
export const columnsOf = remembered((view: StudyView): readonly ViewColumn[] => {
  const own = new Set(view.objectives.map(({ name }) => name));
  const others = new Set<string>();
  for (const { objectives } of view.trials) for (const name in objectives) others.add(name);
  const measured = [
    ...view.objectives.map((objective) => ({ name: objective.name, label: objectiveLabel(objective) })),
    ...[...others].filter((name) => !own.has(name)).map((name) => ({ name, label: name })),
  ];
  const erring = view.objectives.filter(({ name }) => view.trials.some((t) => t.standardErrors?.[name] !== undefined));
  return [
    { name: 'trial', label: 'trial', value: ({ number }) => number },
    { name: 'state', label: 'state', value: ({ state }) => state },
    ...measured.map(({ name, label }): ViewColumn => ({ name, label, value: ({ objectives }) => objectives[name] })),
    ...erring.map(({ name }): ViewColumn => ({
      name: `± ${name}`,
      label: `± ${name}`,
      value: ({ standardErrors }) => standardErrors?.[name],
    })),
    ...view.variables.map(({ name }): ViewColumn => ({ name, label: name, value: ({ values }) => values[name] })),
    { name: 'seconds', label: 'seconds', value: ({ seconds }) => seconds },
    { name: 'error', label: 'error', value: ({ error }) => error },
  ];
});

export interface RowOptions {
  /** Words that a row must hold, and comparisons: `accuracy >= 0.9, act = gelu, fast`. */
  readonly filter: string;
  readonly frontOnly: boolean;
  /** Name of the column that is sorted by. */
  readonly sort: string;
  readonly descending: boolean;
}

export interface Rows {
  readonly trials: readonly ViewTrial[];
  readonly front: ReadonlySet<number>;
  /** What of the filter could not be followed. */
  readonly problem?: string;
}

type Test = (trial: ViewTrial) => boolean;

const COMPARISON = /^(.+?)\s*(<=|>=|!=|<|>|=)\s*(.+)$/;

/** Trials that pass, sorted; rows without a value in the column come last either way. */
export function rowsOf(view: StudyView, options: RowOptions): Rows {
  const columns = columnsOf(view);
  const front = new Set(viewFront(view).map(({ number }) => number));
  const tests: Test[] = options.frontOnly ? [({ number }) => front.has(number)] : [];
  let problem: string | undefined;
  for (const part of options.filter.split(',').map((text) => text.trim())) {
    if (part === '') continue;
    const test = testOf(part, columns);
    if (typeof test === 'string') problem ??= test;
    else tests.push(test);
  }
  const column = columns.find(({ name }) => name === options.sort) ?? columns[0]!;
  const trials = view.trials
    .filter((trial) => tests.every((test) => test(trial)))
    .sort((a, b) => order(column.value(a), column.value(b), options.descending) || a.number - b.number);
  return { trials, front, ...(problem === undefined ? {} : { problem }) };
}

function testOf(part: string, columns: readonly ViewColumn[]): Test | string {
  const [, name, relation, wanted] = COMPARISON.exec(part) ?? [];
  if (name === undefined || relation === undefined || wanted === undefined) {
    const word = part.toLowerCase();
    return (trial) => columns.some((column) => shownValue(column.value(trial)).toLowerCase().includes(word));
  }
  const column = columns.find((each) => each.name === name || each.label === name);
  if (!column) return `no column "${name}": use one of ${columns.map((each) => each.name).join(', ')}`;
  const number = Number(wanted);
  if (!['=', '!='].includes(relation) && !Number.isFinite(number))
    return `"${part}" compares with no number: write one after ${relation}`;
  return (trial) => {
    const value = column.value(trial);
    if (value === undefined) return false;
    const same = shownValue(value) === wanted || (typeof value === 'number' && value === number);
    if (relation === '=') return same;
    if (relation === '!=') return !same;
    if (typeof value !== 'number') return false;
    if (relation === '<=') return value <= number;
    if (relation === '>=') return value >= number;
    return relation === '<' ? value < number : value > number;
  };
}

function order(a: ViewValue | undefined, b: ViewValue | undefined, descending: boolean): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const sign = descending ? -1 : 1;
  if (typeof a === 'number' && typeof b === 'number') return sign * (a - b);
  return sign * shownValue(a).localeCompare(shownValue(b), 'en', { numeric: true });
}

/** The rows as CSV (RFC 4180), numbers in full. */
export function rowsToCsv(view: StudyView, trials: readonly ViewTrial[]): string {
  const columns = columnsOf(view);
  const cell = (value: ViewValue | undefined): string => {
    const text = typeof value === 'number' ? String(value) : shownValue(value);
    // A text that a spreadsheet would take for a formula gets an apostrophe, which it hides.
    const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [
    columns.map(({ name }) => cell(name)),
    ...trials.map((trial) => columns.map((c) => cell(c.value(trial)))),
  ];
  return `${lines.map((line) => line.join(',')).join('\r\n')}\r\n`;
}
