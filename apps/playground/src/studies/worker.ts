// The worker of the page of studies: SQLite in WebAssembly reads a file's tables, or JSON is taken as it is.
import initSqlJs, { type Database } from 'sql.js';
import wasm from 'sql.js/dist/sql-wasm.wasm?url';
import { studyViewFromDatabase } from '@instatune/search/report';
import { PlaygroundError } from '../rpc/protocol.ts';
import { serve } from '../rpc/worker.ts';
import { parseView } from './parse-view.ts';
import type { OpenedStudy, StudyOperations } from './protocol.ts';

const MOST_BYTES = 512 * 2 ** 20;
const SQLITE = 'SQLite format 3\0';

serve<StudyOperations>({
  open: async ({ file, study }): Promise<OpenedStudy> => {
    if (file.size > MOST_BYTES) {
      const message = `${file.name} has ${file.size} bytes, at most ${MOST_BYTES} are read: export its study as JSON`;
      throw new PlaygroundError('study-too-large', message);
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (new TextDecoder('latin1').decode(bytes.subarray(0, SQLITE.length)) === SQLITE) {
      return fromDatabase(bytes, file.name, study);
    }
    const view = parseView(new TextDecoder().decode(bytes), file.name);
    return { view, names: [view.name] };
  },
});

async function fromDatabase(bytes: Uint8Array, path: string, study: string | undefined): Promise<OpenedStudy> {
  // A journal that lies beside the file cannot be had here; without one the file itself says what it holds.
  bytes.fill(1, 18, 20);
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
