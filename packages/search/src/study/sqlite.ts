// Studies in a SQLite file (Node's own driver): WAL, a transaction per change, so a killed process loses at most its running trials.
import type { DatabaseSync } from 'node:sqlite';
import { SearchError } from '../errors.ts';
import { connect, connectToRead, transaction, type Row } from './connection.ts';
import { claim, journal } from './journal.ts';
import { release } from './owner.ts';
import { load } from './load.ts';
import { headerOf } from './rows.ts';
import { revisionOf, sharedJournal } from './shared-journal.ts';
import type { StudyHeader } from './header.ts';
import { Study } from './study.ts';
import { jsonOf } from './values.ts';

export { absolute } from './connection.ts';

function find(database: DatabaseSync, path: string, name: string | undefined): Row | undefined {
  if (name !== undefined) return database.prepare('SELECT * FROM studies WHERE name = ?').get(name);
  const rows = database.prepare('SELECT * FROM studies ORDER BY id').all();
  if (rows.length > 1) {
    const names = rows.map((row) => String(row['name']));
    throw new SearchError('study-missing', `${path} holds ${rows.length} studies: name one of ${names.join(', ')}`, {
      path,
      names,
    });
  }
  return rows[0];
}

function missing(path: string, database: DatabaseSync, name: string | undefined): SearchError {
  const names = database
    .prepare('SELECT name FROM studies ORDER BY id')
    .all()
    .map((row) => String(row['name']));
  return new SearchError(
    'study-missing',
    `no study ${name === undefined ? '' : `"${name}" `}in ${path}: it holds ${names.length === 0 ? 'none' : names.join(', ')}`,
    {
      path,
      names,
    },
  );
}

/** Of a study that several processes write. */
export interface OpenOptions {
  /** How long a trial stays with a process that gives no sign of life. @defaultValue 120000 */
  readonly leaseMs?: number | undefined;
}

/** Whether several processes may write a study: one of rounds has one writer. */
const isShared = ({ settings }: StudyHeader): boolean => settings['proposals'] === 'asynchronous';

/**
 * Creates a study in a file (the file too, if need be) and takes it for writing, alone unless its proposals are asynchronous.
 *
 * @throws SearchError `study-exists`, `study-busy` (locked for 10 s), `study-unreadable`, `corrupt-study`, `wrong-schema`
 */
export function createStudy(path: string, header: StudyHeader, { leaseMs }: OpenOptions = {}): Study {
  const database = connect(path, true);
  try {
    // Of two processes that create one at once, one is told that it exists.
    const { lastInsertRowid } = transaction(path, database, () => {
      if (database.prepare('SELECT 1 FROM studies WHERE name = ?').get(header.name)) {
        throw new SearchError(
          'study-exists',
          `study "${header.name}" is already in ${path}: resume it, or choose another name`,
          { path, name: header.name },
        );
      }
      return database
        .prepare(
          `INSERT INTO studies (name, uid, problem, space, objectives, fingerprint, tactic, settings, seed, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(
          header.name,
          header.uid,
          header.problem,
          JSON.stringify(header.space),
          JSON.stringify(header.objectives),
          header.fingerprint,
          header.tactic,
          jsonOf(header.settings, 'the settings'),
          header.seed,
          header.createdAt,
        );
    });
    const id = Number(lastInsertRowid);
    if (isShared(header)) {
      return new Study(header, sharedJournal({ path, database, id, header, revision: 0, round: -1, leaseMs }));
    }
    return new Study(header, journal(path, database, claim(path, database, id)));
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Opens a study for going on with it. One with asynchronous proposals may be open in several processes at once.
 *
 * @param name may be left out where the file holds one study
 * @throws SearchError `study-missing`, `study-busy` (another live process writes it), `study-unreadable`, `corrupt-study`, `wrong-schema`
 */
export function openStudy(path: string, name?: string, { leaseMs }: OpenOptions = {}): Study {
  const database = connect(path, false);
  try {
    const row = find(database, path, name);
    if (!row) throw missing(path, database, name);
    const id = Number(row['id']);
    const header = headerOf(path, row);
    if (isShared(header)) {
      // Read before the contents: what changes in between is read again.
      const revision = revisionOf(database, id);
      const contents = load(path, database, id, header, true);
      const round = contents.rounds.at(-1)?.round ?? -1;
      return new Study(header, sharedJournal({ path, database, id, header, revision, round, leaseMs }), contents);
    }
    load(path, database, id, header); // a damaged file is refused before it is taken
    const taken = claim(path, database, id);
    try {
      // Read only now: whoever wrote it before writes no more.
      const contents = load(path, database, id, header);
      return new Study(header, journal(path, database, taken), contents);
    } catch (error) {
      release(taken.owner);
      throw error;
    }
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Reads a study as it is now, even while another process writes it, or from a file that cannot be written. Changes to the result stay
 * in memory.
 *
 * @throws SearchError `study-missing`, `study-unreadable`, `corrupt-study`, `wrong-schema`
 */
export function readStudy(path: string, name?: string): Study {
  const database = connectToRead(path);
  try {
    const row = find(database, path, name);
    if (!row) throw missing(path, database, name);
    const header = headerOf(path, row);
    return new Study(header, undefined, load(path, database, Number(row['id']), header, isShared(header)));
  } finally {
    database.close();
  }
}

/** The studies of a file, oldest first. */
export function listStudies(
  path: string,
): readonly (StudyHeader & { readonly trials: number; readonly complete: number })[] {
  const database = connectToRead(path);
  try {
    const count = database.prepare(
      "SELECT count(*) AS trials, sum(status = 'complete') AS complete FROM trials WHERE study_id = ?",
    );
    return database
      .prepare('SELECT * FROM studies ORDER BY id')
      .all()
      .map((row) => {
        const counts = count.get(Number(row['id']));
        return {
          ...headerOf(path, row),
          trials: Number(counts?.['trials']),
          complete: Number(counts?.['complete'] ?? 0),
        };
      });
  } finally {
    database.close();
  }
}
