// Measurements from files: tables (CSV), studies of Optuna, studies of this package.
import { open, readFile } from 'node:fs/promises';
import { parse } from 'csv-parse/sync';
import { SearchError, messageOf } from '../errors.ts';
import type { GivenCandidate } from '../given/candidate.ts';
import type { KnownMeasurement, KnownMeasurements } from '../given/known.ts';
import type { ComparedObjective } from './compare.ts';
import type { Variable } from '@instatune/nsga2';
import { node } from './connection.ts';
import { variableNames, variableValues } from './labels.ts';
import { isOptuna, readOptuna } from './optuna.ts';
import { readStudy } from './sqlite.ts';

/** Options of {@link readMeasurements}. */
export interface ReadMeasurementsOptions {
  /** Which study of a file that holds several. */
  readonly study?: string | undefined;
  /** Names of an Optuna study's objectives in their order. @defaultValue those it was given (`set_metric_names`) */
  readonly objectives?: readonly string[] | undefined;
}

/** How an SQLite file begins (https://sqlite.org/fileformat.html §1.3). */
const SQLITE = 'SQLite format 3\0';

/**
 * What a file knows, for `runSearch`'s `measurements`. Which kind it is, its content says:
 * - SQLite: a study of this package or of Optuna (3 and later), by its tables. Optuna's parameters are variables by name; its failed trials come as failed,
 *   pruned and unfinished ones not at all.
 * - else CSV with a header: columns by the names of variables and objectives, others ignored; what stands in brackets behind an objective's name is its
 *   unit and direction, and is checked (`latency (ms)`, `accuracy (%, maximize)`). `studyToCsv` writes such; of a column `status` only `complete`
 *   and `failed` rows are read.
 *
 * @throws SearchError `study-unreadable`, `study-missing` where a file holds several studies and none is named, `corrupt-study` naming the row
 * @example
 * const measurements = await readMeasurements('optuna.db', { study: 'tuning', objectives: ['accuracy', 'latency'] });
 * await runSearch(problem, { evaluations: 100, measurements });
 */
export async function readMeasurements(
  path: string,
  options: ReadMeasurementsOptions = {},
): Promise<KnownMeasurements> {
  if (!(await isSqlite(path))) {
    const rows = readRows(await readText(path), path);
    return { rows: readTable(rows, path), objectives: objectivesOf(rows), table: true };
  }
  const { sqlite } = node(path);
  // Another tool's file: nothing is written into it.
  using database = openForeign(() => new sqlite.DatabaseSync(path, { readOnly: true }), path);
  return isOptuna(database) ? readOptuna(database, path, options) : readOwn(path, options.study);
}

function openForeign<T>(opening: () => T, path: string): T {
  try {
    return opening();
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function isSqlite(path: string): Promise<boolean> {
  const head = Buffer.alloc(SQLITE.length);
  try {
    await using file = await open(path, 'r');
    await file.read(head, 0, head.length, 0);
  } catch (error) {
    throw unreadable(path, error);
  }
  return head.toString('latin1') === SQLITE;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): SearchError {
  return new SearchError('study-unreadable', `cannot read ${path}: ${messageOf(error)}`, { path }, { cause: error });
}

/** Texts that `studyToCsv` kept spreadsheets from taking for a formula. */
const KEPT = /^'(?=[=+\-@\t\r])/;

/** `latency (ms)`, `accuracy (%, maximize)`. */
const HEADING = /^(.+?)\s*\(([^()]+)\)$/;
const DIRECTIONS = ['minimize', 'maximize'] as const;

/** What a table's headings say of columns: units and directions in brackets behind the name. */
function objectivesOf(rows: readonly Readonly<Record<string, string>>[]): readonly ComparedObjective[] {
  return Object.keys(rows[0] ?? {}).flatMap((heading): ComparedObjective[] => {
    const [, name, said] = HEADING.exec(heading) ?? [];
    if (name === undefined || said === undefined) return [];
    const words = said.split(',').map((word) => word.trim());
    const direction = DIRECTIONS.find((each) => words.includes(each));
    const unit = words.find((word) => !DIRECTIONS.some((each) => each === word));
    return [{ name, ...(direction ? { direction } : {}), ...(unit === undefined ? {} : { unit }) }];
  });
}

/** Cells by the headings, and by their names alone where a unit stands behind them. */
function readRows(text: string, path: string): Record<string, string>[] {
  let rows: Record<string, string>[];
  try {
    rows = parse(text, { columns: true, bom: true, skip_empty_lines: true, trim: true }) as Record<string, string>[];
  } catch (error) {
    throw new SearchError(
      'corrupt-study',
      `${path} is no table: ${messageOf(error)}; give CSV whose first row names the columns`,
      { path },
      { cause: error },
    );
  }
  return rows.map((row) => {
    const cells = Object.entries(row).map(([name, cell]) => [name, cell.replace(KEPT, '')] as const);
    const short = cells.flatMap(([name, cell]) => {
      const [, alone] = HEADING.exec(name) ?? [];
      return alone === undefined ? [] : [[alone, cell] as const];
    });
    return Object.fromEntries([...short, ...cells]);
  });
}

/**
 * Candidates of a file, for `runSearch`'s `candidates`: a JSON list of genes or of values by name, else CSV with a column a variable.
 *
 * @throws SearchError `study-unreadable`, `corrupt-study`
 * @example
 * await runSearch(problem, { evaluations: 100, candidates: await readCandidates('first.csv') });
 */
export async function readCandidates(path: string): Promise<readonly GivenCandidate[]> {
  const text = await readText(path);
  if (!text.trimStart().startsWith('[')) return readRows(text, path);
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return value as GivenCandidate[];
  } catch {
    // said below
  }
  throw new SearchError('corrupt-study', `${path} is no JSON list: give [[GENES], …] or [{ "NAME": VALUE, … }, …]`, {
    path,
  });
}

function readTable(rows: readonly Record<string, string>[], path: string): KnownMeasurement[] {
  return rows.flatMap((cells, index): KnownMeasurement[] => {
    const where = `row ${index + 1} of ${path}`;
    const { status } = cells;
    if (status === 'failed') return [{ candidate: cells, error: cells['error'] || 'failed elsewhere', where }];
    if (status !== undefined && status !== 'complete') return [];
    return [{ candidate: cells, values: cells, where }];
  });
}

function readOwn(path: string, name: string | undefined): KnownMeasurements {
  using study = readStudy(path, name);
  const space = study.header.space as readonly Variable[];
  const names = variableNames(space);
  const rows = study.trials.flatMap(({ number, status, genes, values, error }): KnownMeasurement[] => {
    const read = variableValues(space, genes);
    const candidate = Object.fromEntries(
      names.flatMap((variable, index) => (read[index] === undefined ? [] : [[variable, read[index]]])),
    );
    const where = `trial ${number} of ${path}`;
    if (status === 'complete') return [{ candidate, values, where }];
    return status === 'failed' ? [{ candidate, error: error ?? 'failed elsewhere', where }] : [];
  });
  return { rows, objectives: study.header.objectives };
}
