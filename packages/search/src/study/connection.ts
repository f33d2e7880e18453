// A study's file: opened with what Node brings, its failures named.
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { SearchError, messageOf, type SearchErrorCode } from '../errors.ts';
import { migrate, schemaVersion } from './migrate.ts';
import { SCHEMA_VERSION } from './schema.ts';

export type Row = Record<string, SQLOutputValue>;

/** How long a file that others write is waited for. */
export const BUSY_MS = 10_000;
const SQLITE_BUSY = 5;

interface Meaning {
  readonly code: SearchErrorCode;
  say(path: string, reason: string): string;
}

const BUSY: Meaning = {
  code: 'study-busy',
  say: (path, reason) =>
    `${path} has been locked for ${BUSY_MS / 1000} s by another process (${reason}): let that one end its transaction, then try again`,
};
const CORRUPT: Meaning = {
  code: 'corrupt-study',
  say: (path, reason) => `${path} is not a readable SQLite file (${reason}): restore a copy or start a new study`,
};
const CLOSED: Meaning = {
  code: 'study-unreadable',
  say: (path, reason) =>
    `cannot use ${path} as a study (${reason}): give a file, in a folder, that this user may read and write`,
};
const FULL: Meaning = {
  code: 'study-unwritable',
  say: (path, reason) =>
    `${path} cannot grow (${reason}): free space on its disk, then resume the study; what was measured before is in the file`,
};
const BROKEN: Meaning = {
  code: 'study-unwritable',
  say: (path, reason) =>
    `the disk failed under ${path} (${reason}): see to the disk, then resume the study; what was measured before is in the file`,
};

/** SQLite's primary result codes (https://sqlite.org/rescode.html). 1, 19, 20: a file of ours has the tables and columns that are asked for. */
const MEANINGS: ReadonlyMap<number, Meaning> = new Map([
  [SQLITE_BUSY, BUSY],
  [6, BUSY],
  [11, CORRUPT],
  [26, CORRUPT],
  [1, CORRUPT],
  [19, CORRUPT],
  [20, CORRUPT],
  [3, CLOSED],
  [8, CLOSED],
  [14, CLOSED],
  [10, BROKEN],
  [13, FULL],
]);

/**
 * Node's modules, asked of the process: what is imported, even dynamically, bundlers for browsers try to find.
 *
 * @throws SearchError `invalid-option` where there is no Node to read and write the file
 */
export function node(path: string) {
  // Some bundlers put a `process` of their own into pages; a Node that is too old has no SQLite.
  const known = typeof process === 'object' && typeof process.getBuiltinModule === 'function';
  const sqlite = known ? process.getBuiltinModule('node:sqlite') : undefined;
  if (!sqlite) {
    throw new SearchError(
      'invalid-option',
      `the study file ${path} needs Node 22.13 or newer (its node:sqlite), which this is not: leave \`study\` out, which keeps the study in memory, or pass a Study instead of a path`,
      { path },
    );
  }
  const fs = process.getBuiltinModule('node:fs');
  return { fs, paths: process.getBuiltinModule('node:path'), url: process.getBuiltinModule('node:url'), sqlite };
}

/** A path that means the same file in every folder. */
export const absolute = (path: string): string => node(path).paths.resolve(path);

/** Runs a statement that SQLite gives up on at once, without its own waiting, while others open the file. */
function whenFree(action: () => void): void {
  const end = performance.now() + BUSY_MS;
  for (;;) {
    try {
      return action();
    } catch (error) {
      const { errcode } = error as { errcode?: number };
      if (errcode === undefined || (errcode & 0xff) !== SQLITE_BUSY || performance.now() > end) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Says what SQLite's failures mean. @throws SearchError `study-busy`, `corrupt-study`, `study-unreadable`, `study-unwritable` */
export function guard<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = (error as { errcode?: number }).errcode;
    const meaning = code === undefined ? undefined : MEANINGS.get(code & 0xff);
    if (!meaning) throw error;
    throw new SearchError(meaning.code, meaning.say(path, messageOf(error)), { path }, { cause: error });
  }
}

/** All of it or nothing, once no other process writes. */
export function transaction<T>(path: string, database: DatabaseSync, action: () => T): T {
  return guard(path, () => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = action();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk has rolled back by itself.
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  });
}

export function connect(path: string, create: boolean): DatabaseSync {
  // SQLite takes it for a temporary file, gone when it is closed.
  if (path === '') throw new SearchError('invalid-option', 'the path of the study is empty: give a file', { path });
  const { fs, paths, sqlite } = node(path);
  if (!create && !fs.existsSync(path)) {
    throw new SearchError(
      'study-missing',
      `no study file at ${path}: start one with runSearch, or \`instatune search --study ${path}\` of @instatune/cli`,
      { path },
    );
  }
  const folder = paths.dirname(paths.resolve(path));
  if (!fs.existsSync(folder)) {
    throw new SearchError('study-missing', `no folder ${folder}: create it before the study`, { path });
  }
  const kind = fs.statSync(path, { throwIfNoEntry: false });
  // Opening a pipe would wait for its other end for ever.
  if (kind && !kind.isFile())
    throw new SearchError(
      'study-unreadable',
      `${path} is ${kind.isDirectory() ? 'a folder' : 'no file'}: give a file`,
      {
        path,
      },
    );
  const database = guard(path, () => new sqlite.DatabaseSync(path, { timeout: BUSY_MS }));
  try {
    guard(path, () => {
      whenFree(() => database.exec('PRAGMA journal_mode = WAL'));
      database.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
      migrate(database, path);
    });
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** A file that may only be read: on a read-only or full medium, or of another user. */
export function connectToRead(path: string): DatabaseSync {
  const { fs, url, sqlite } = node(path);
  try {
    return connect(path, false);
  } catch (error) {
    const known = error instanceof SearchError && ['study-unreadable', 'study-unwritable'].includes(error.code);
    if (!known || !fs.statSync(path, { throwIfNoEntry: false })?.isFile()) throw error;
    // SQLite would have to write beside the file to read what a killed process left there.
    if ((fs.statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) throw error;
    const address = url.pathToFileURL(path);
    address.search = 'immutable=1';
    let database: DatabaseSync | undefined;
    try {
      database = new sqlite.DatabaseSync(address, { readOnly: true });
      const version = schemaVersion(database, path);
      if (version === SCHEMA_VERSION) return database;
      throw new SearchError(
        'wrong-schema',
        `${path} has schema version ${version} and cannot be written: copy it to where it can be brought to version ${SCHEMA_VERSION}`,
        { path, version, supported: SCHEMA_VERSION },
      );
    } catch (second) {
      database?.close();
      throw second instanceof SearchError ? second : error;
    }
  }
}
