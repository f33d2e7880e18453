// Measurements from files: tables (CSV), studies of Optuna, studies of this package.
import { open, readFile } from 'node:fs/promises';
import { SearchError, messageOf } from '../errors.ts';
import type { GivenCandidate } from '../given/candidate.ts';
import { constraintsAmong } from '../given/constraint-values.ts';
import type { KnownMeasurement, KnownMeasurements } from '../given/known.ts';
import type { Variable } from '@instatune/nsga2';
import { node } from './connection.ts';
import { variableNames, variableValues } from './labels.ts';
import { isOptuna, readOptuna } from './optuna.ts';
import { objectivesOf, readRows, readTable } from './read-table.ts';
import { readStudy } from './sqlite.ts';

/** Options of {@link readMeasurements}. */
export interface ReadMeasurementsOptions {
  /** Which study of a file that holds several. */
  readonly study?: string | undefined;
  /** Names of an Optuna study's objectives in their order, in a storage and a table. @defaultValue those it was given (`set_metric_names`) */
  readonly objectives?: readonly string[] | undefined;
}

/** How an SQLite file begins (https://sqlite.org/fileformat.html §1.3). */
const SQLITE = 'SQLite format 3\0';

/**
 * What a file knows, for `runSearch`'s `measurements`. Which kind it is, its content says:
 * - SQLite: a study of this package or of Optuna (2 and later), by its tables. Optuna's parameters are variables by name; its failed trials come as failed,
 *   pruned and unfinished ones not at all; constraint values (`constraints_func`, `set_constraint`) as constraints: what violates one, or lacks
 *   the list that others have, is never on the front.
 * - else CSV with a header: columns by the names of variables and objectives, others ignored; what stands in brackets behind an objective's name is its
 *   unit and direction, and is checked (`latency (ms)`, `accuracy (%, maximize)`). `studyToCsv` writes such; of a column `status` only `complete`
 *   and `failed` rows are read; columns `constraint NAME` are constraints, kept where they are 0 or less. Semicolons and tabs separate, too. Optuna's `study.trials_dataframe()` is such a table: `params_` and `values_` are
 *   left out of its headings, and of its `state` what is said of the storage above holds.
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
    const rows = readRows(await readText(path), path, options.objectives);
    return { rows: readTable(rows, path), objectives: objectivesOf(rows), table: true };
  }
  const { sqlite } = node(path);
  // Another tool's file: nothing is written into it.
  using database = openForeign(() => new sqlite.DatabaseSync(path, { readOnly: true }), path);
  const isForeign = openForeign(() => isOptuna(database), path);
  return isForeign ? readOptuna(database, path, options) : readOwn(path, options.study);
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
    if (status === 'complete') return [{ candidate, values, constraints: constraintsAmong(values ?? {}), where }];
    return status === 'failed' ? [{ candidate, error: error ?? 'failed elsewhere', where }] : [];
  });
  return { rows, objectives: study.header.objectives };
}
