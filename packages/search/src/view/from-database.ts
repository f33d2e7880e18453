// A view from a study file's tables, through whatever reads SQLite: sql.js in a page, node:sqlite, a driver.
import { SearchError, messageOf } from '../errors.ts';
import { headerOf, trialOf } from '../study/rows.ts';
import type { Row } from '../study/connection.ts';
import { toStudyView, type StudyView } from './data.ts';
import { viewFromOptuna } from './from-optuna.ts';
import { missing, type DatabaseViewOptions, type Query } from './query.ts';

/**
 * Reads a study of this package, or of Optuna (its storage's schema of version 3 and later), as a view.
 *
 * @throws SearchError `study-missing` naming the studies there are, `corrupt-study` where the tables are neither's
 * @example
 * const database = new SQL.Database(new Uint8Array(await file.arrayBuffer())); // sql.js
 * const view = await studyViewFromDatabase((sql) => {
 *   const statement = database.prepare(sql);
 *   const rows = [];
 *   while (statement.step()) rows.push(statement.getAsObject());
 *   return rows;
 * });
 */
export async function studyViewFromDatabase(query: Query, options: DatabaseViewOptions = {}): Promise<StudyView> {
  const { study: wanted, path = 'the file' } = options;
  try {
    const tables = (await query("SELECT name FROM sqlite_master WHERE type = 'table'")).map(({ name }) => String(name));
    if (tables.includes('study_directions') && tables.includes('trial_params'))
      return await viewFromOptuna(query, options);
    if (!tables.includes('studies') || !tables.includes('trials')) {
      throw new SearchError(
        'corrupt-study',
        `${path} has the tables ${tables.join(', ') || '(none)'}, which are no study's: give a study file of instatune or an Optuna storage`,
        { path, tables },
      );
    }
    const rows = await query('SELECT * FROM studies ORDER BY id');
    const found = wanted === undefined ? rows.at(-1) : rows.find(({ name }) => name === wanted);
    if (!found)
      throw missing(
        path,
        wanted,
        rows.map(({ name }) => String(name)),
      );
    const header = headerOf(path, found as Row);
    const trials = await query(`SELECT * FROM trials WHERE study_id = ${Number(found['id'])} ORDER BY number`);
    const { reference } = found;
    const view = toStudyView({
      header,
      trials: trials.map((row) => trialOf(path, row as Row)),
      reference: typeof reference === 'string' ? (JSON.parse(reference) as readonly number[]) : undefined,
    });
    // One that is being measured is shown so; for a search it would be one to do again.
    const running = new Set(trials.filter(({ status }) => status === 'running').map(({ number }) => Number(number)));
    return {
      ...view,
      trials: view.trials.map((trial) => (running.has(trial.number) ? { ...trial, state: 'running' } : trial)),
    };
  } catch (error) {
    if (error instanceof SearchError) throw error;
    throw new SearchError(
      'corrupt-study',
      `${path} cannot be read as a study (${messageOf(error)}): give a study file of instatune or an Optuna storage`,
      { path },
      { cause: error },
    );
  }
}
