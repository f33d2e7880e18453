// Tables: CSV with a header, of this package, of people, and of Optuna (`study.trials_dataframe()`).
import { parse } from 'csv-parse/sync';
import { SearchError, messageOf } from '../errors.ts';
import { constraintsAmong, type NamedConstraints } from '../given/constraint-values.ts';
import type { KnownMeasurement } from '../given/known.ts';
import type { ComparedObjective } from './compare.ts';
import { optunaConstraints, type AttributeTexts } from './optuna-constraints.ts';

/** Texts that `studyToCsv` kept spreadsheets from taking for a formula. */
const KEPT = /^'(?=[=+\-@\t\r])/;

/** `latency (ms)`, `accuracy (%, maximize)`. */
const HEADING = /^(.+?)\s*\(([^()]+)\)$/;
const DIRECTIONS = ['minimize', 'maximize'] as const;

/** What a table's headings say of columns: units and directions in brackets behind the name. */
export function objectivesOf(rows: readonly Readonly<Record<string, string>>[]): readonly ComparedObjective[] {
  return Object.keys(rows[0] ?? {}).flatMap((heading): ComparedObjective[] => {
    const [, name, said] = HEADING.exec(heading) ?? [];
    if (name === undefined || said === undefined) return [];
    const words = said.split(',').map((word) => word.trim());
    const direction = DIRECTIONS.find((each) => words.includes(each));
    const unit = words.find((word) => !DIRECTIONS.some((each) => each === word));
    return [{ name, ...(direction ? { direction } : {}), ...(unit === undefined ? {} : { unit }) }];
  });
}

/** What separates cells: what the header has most of. */
function delimiterOf(text: string): string {
  const [header = ''] = text.trimStart().split(/\r?\n/, 1);
  const count = (delimiter: string): number => header.split(delimiter).length;
  return [',', ';', '\t'].reduce((best, one) => (count(one) > count(best) ? one : best));
}

/**
 * Cells by the headings, and by their names alone where a unit stands behind them, or Optuna's prefixes before.
 *
 * @param objectives names of Optuna's objectives, where its table numbers them
 * @throws SearchError `corrupt-study` for what is no table
 */
export function readRows(text: string, path: string, objectives: readonly string[] = []): Record<string, string>[] {
  const fail = (why: string, cause?: unknown): never => {
    throw new SearchError(
      'corrupt-study',
      `${path} is no table: ${why}; give CSV whose first row names the columns`,
      { path },
      { cause },
    );
  };
  if (text.trim() === '') fail('it is empty');
  let rows: Record<string, string>[] = [];
  try {
    const delimiter = delimiterOf(text);
    rows = parse(text, { columns: true, bom: true, skip_empty_lines: true, trim: true, delimiter });
  } catch (error) {
    fail(messageOf(error), error);
  }
  const isFrame = rows.length > 0 && isDataframe(rows[0]!);
  return rows.map((row) => {
    const cells = Object.entries(row).map(([name, cell]) => [name, cell.replace(KEPT, '')] as const);
    const short = cells.flatMap(([name, cell]) => {
      const alone = HEADING.exec(name)?.[1] ?? (isFrame ? withoutPrefix(name, objectives) : undefined);
      return alone === undefined ? [] : [[alone, cell] as const];
    });
    return Object.fromEntries([...short, ...cells]);
  });
}

/** Headings of Optuna's parameters, and of its objectives: the only one, by number, by name. */
const PARAMETER = /^params_(.+)$/;
const VALUE = /^values?(?:_(.+))?$/;

const isDataframe = (row: Readonly<Record<string, string>>): boolean =>
  'state' in row && Object.keys(row).some((name) => PARAMETER.test(name));

/** What a heading of Optuna's names; undefined where nothing here is called so. */
function withoutPrefix(heading: string, objectives: readonly string[]): string | undefined {
  const parameter = PARAMETER.exec(heading)?.[1];
  if (parameter !== undefined) return parameter;
  const [isValue, which = '0'] = VALUE.exec(heading) ?? [];
  if (isValue === undefined) return undefined;
  return objectives[Number(which)] ?? which;
}

/** Optuna's states that are read. */
const STATES: Readonly<Record<string, string>> = { COMPLETE: 'complete', FAIL: 'failed' };

/** Heading of a system attribute. */
const ATTRIBUTE = /^system_attrs_(.+)$/;

function attributesOf(cells: Readonly<Record<string, string>>): AttributeTexts {
  return Object.fromEntries(
    Object.entries(cells).flatMap(([heading, cell]) => {
      const key = ATTRIBUTE.exec(heading)?.[1];
      return key === undefined ? [] : [[key, cell]];
    }),
  );
}

/** Of each row that was measured; columns that are empty there are of other rows. */
function constraintsOf(rows: readonly Record<string, string>[]): readonly NamedConstraints[] {
  const [first = {}] = rows;
  if (isDataframe(first)) return optunaConstraints(rows.map(attributesOf));
  return rows.map((cells) => {
    const given = Object.entries(constraintsAmong(cells)).filter(([, cell]) => cell !== '');
    return Object.fromEntries(given.map(([name, cell]) => [name, Number(cell)]));
  });
}

export function readTable(rows: readonly Record<string, string>[], path: string): KnownMeasurement[] {
  const constraints = constraintsOf(rows);
  return rows.flatMap((cells, index): KnownMeasurement[] => {
    const where = `row ${index + 1} of ${path}`;
    const status = isDataframe(cells) ? (STATES[cells['state']!] ?? 'left out') : cells['status'];
    if (status === 'failed') return [{ candidate: cells, error: cells['error'] || 'failed elsewhere', where }];
    if (status !== undefined && status !== 'complete') return [];
    return [{ candidate: cells, values: cells, constraints: constraints[index], where }];
  });
}
