// The worker of the page of studies: SQLite in WebAssembly reads a file's tables, or JSON is taken as it is; importances and exports.
import initSqlJs, { type Database } from 'sql.js';
import wasm from 'sql.js/dist/sql-wasm.wasm?url';
import {
  importancesOf,
  studyViewFromDatabase,
  toStudyView,
  type StudyView,
  type ViewTrial,
} from '@instatune/search/report';
import { PlaygroundError } from '../rpc/protocol.ts';
import { serve } from '../rpc/worker.ts';
import { droppedStudy } from './dropped.ts';
import { viewCsv } from './export.ts';
import { parseView } from './parse-view.ts';
import type { OpenedStudy, OpenInput, StudyOperations } from './protocol.ts';
import { applyLog, isWhole, usesLog, withoutLog } from './write-ahead-log.ts';

const MOST_BYTES = 512 * 2 ** 20;
const SQLITE = 'SQLite format 3\0';
/** Trials of one message: the page unpacks it within a moment. */
const TRIALS_AT_ONCE = 500;
/** Of the accuracy and the cost of a transformer, both by a formula: a moment's work. */
const EXAMPLE = { tactic: 'nsga2', evaluations: 240, population: 24, seed: 1 } as const;

interface Read {
  readonly view: StudyView;
  readonly names: readonly string[];
}

let current: StudyView | undefined;

serve<StudyOperations>({
  open: async (input, { emit }) => told(await read(input), emit),
  example: async (_, { emit, signal }) => {
    const { bertSynth, runSearch } = await import('@instatune/search');
    const { study } = await runSearch(bertSynth(), { ...EXAMPLE, signal });
    const view = { ...toStudyView(study), name: 'example' };
    return told({ view, names: [view.name] }, emit);
  },
  importances: async ({ objective }, { signal }) => importancesOf(opened(), objective, { signal }),
  export: async (format) =>
    format === 'csv'
      ? new Blob([viewCsv(opened())], { type: 'text/csv' })
      : new Blob([`${JSON.stringify(opened(), null, 1)}\n`], { type: 'application/json' }),
});

/** Keeps what was read, and tells the page its trials, some at a time. */
function told({ view, names }: Read, emit: (trials: readonly ViewTrial[]) => void): OpenedStudy {
  current = view;
  const { trials, ...rest } = view;
  for (let from = 0; from < trials.length; from += TRIALS_AT_ONCE) emit(trials.slice(from, from + TRIALS_AT_ONCE));
  return { view: rest, names };
}

function opened(): StudyView {
  if (current) return current;
  throw new PlaygroundError('no-study', 'no study is open: drop a file first');
}

async function read({ files, study }: OpenInput): Promise<Read> {
  const { file, log } = droppedStudy(files);
  const size = file.size + (log?.size ?? 0);
  if (size > MOST_BYTES) {
    const message = `${file.name} has ${size} bytes, at most ${MOST_BYTES} are read: export its study as JSON`;
    throw new PlaygroundError('study-too-large', message);
  }
  const alone = new Uint8Array(await file.arrayBuffer());
  const bytes = log ? applyLog(alone, new Uint8Array(await log.arrayBuffer()), log.name) : alone;
  if (new TextDecoder('latin1').decode(bytes.subarray(0, SQLITE.length)) === SQLITE) {
    // A file that is cut off is broken with its log, too.
    const lacksLog = !log && usesLog(bytes) && isWhole(bytes);
    try {
      return await fromDatabase(withoutLog(bytes), file.name, study);
    } catch (cause) {
      if (!lacksLog) throw cause;
      const message = `${file.name} by itself cannot be read (${(cause as Error).message}); its newest changes may lie in ${file.name}-wal: drop both together, or end the search first`;
      throw new PlaygroundError('log-missing', message, { cause });
    }
  }
  const view = parseView(new TextDecoder().decode(bytes), file.name);
  return { view, names: [view.name] };
}

async function fromDatabase(bytes: Uint8Array, path: string, study: string | undefined): Promise<Read> {
  const sql = await initSqlJs({ locateFile: () => wasm });
  const database = new sql.Database(bytes);
  try {
    const query = (text: string): Record<string, unknown>[] => rowsOf(database, text);
    const view = await studyViewFromDatabase(query, { path, ...(study !== undefined && { study }) });
    return { view, names: namesOf(query) };
  } finally {
    database.close();
  }
}

/** Names of the studies, of this project's files and of Optuna's, the newest last. */
function namesOf(query: (text: string) => Record<string, unknown>[]): string[] {
  const columns = query('PRAGMA table_info(studies)').map(({ name }) => String(name));
  const name = columns.includes('study_name') ? 'study_name' : 'name';
  const order = columns.includes('study_id') ? 'study_id' : 'id';
  return query(`SELECT ${name} AS name FROM studies ORDER BY ${order}`).map((row) => String(row['name']));
}

function rowsOf(database: Database, text: string): Record<string, unknown>[] {
  const statement = database.prepare(text);
  try {
    const rows: Record<string, unknown>[] = [];
    while (statement.step()) rows.push(statement.getAsObject());
    return rows;
  } finally {
    statement.free();
  }
}
