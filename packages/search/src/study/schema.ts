// The study file's tables, one migration per schema version. Versions only ever grow; a migration never changes once released.
import type { DatabaseSync } from 'node:sqlite';
import { SearchError } from '../errors.ts';

/** "inst" in ASCII: tells a study file from any other SQLite file. */
export const APPLICATION_ID = 0x69_6e_73_74;

/** `MIGRATIONS[i]` turns version i into version i + 1. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE studies (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     uid TEXT NOT NULL,
     problem TEXT NOT NULL,
     space TEXT NOT NULL,
     objectives TEXT NOT NULL,
     fingerprint TEXT NOT NULL,
     tactic TEXT NOT NULL,
     settings TEXT NOT NULL,
     seed INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     reference TEXT,
     owner TEXT,
     owner_host TEXT,
     owner_seen_at INTEGER
   ) STRICT;
   CREATE TABLE trials (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     number INTEGER NOT NULL,
     round INTEGER NOT NULL,
     origin TEXT NOT NULL,
     genes TEXT NOT NULL,
     key TEXT NOT NULL,
     seed INTEGER NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'complete', 'failed')),
     trial_values TEXT,
     error TEXT,
     attempts INTEGER NOT NULL,
     host TEXT,
     worker TEXT,
     started_at REAL,
     finished_at REAL,
     duration_ms REAL,
     PRIMARY KEY (study_id, number),
     UNIQUE (study_id, key)
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE rounds (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     round INTEGER NOT NULL,
     info TEXT NOT NULL,
     PRIMARY KEY (study_id, round)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE reports (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     number INTEGER NOT NULL,
     split TEXT NOT NULL,
     report_values TEXT NOT NULL,
     host TEXT NOT NULL,
     duration_ms REAL NOT NULL,
     PRIMARY KEY (study_id, number, split)
   ) STRICT, WITHOUT ROWID;`,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}

/**
 * Version of the schema in a file, 0 in an empty one.
 *
 * @throws SearchError `wrong-schema` for another program's SQLite file, or one written by a newer version of this package
 */
export function schemaVersion(database: DatabaseSync, path: string): number {
  const version = pragma(database, 'user_version');
  const application = pragma(database, 'application_id');
  const tables = Number(database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']);
  if (tables > 0 && application !== APPLICATION_ID) {
    throw new SearchError(
      'wrong-schema',
      `${path} is a SQLite file of another program (application id ${application}): choose another path for the study`,
      {
        path,
        application,
      },
    );
  }
  if (version > SCHEMA_VERSION) {
    throw new SearchError(
      'wrong-schema',
      `${path} has schema version ${version}, this version of @instatune/search reads up to ${SCHEMA_VERSION}: upgrade @instatune/search`,
      { path, version, supported: SCHEMA_VERSION },
    );
  }
  return version;
}

/**
 * Brings a freshly opened file to the newest schema: creates the tables of an empty one, migrates an older one, in one transaction.
 *
 * @throws SearchError as {@link schemaVersion}
 */
export function migrate(database: DatabaseSync, path: string): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    const version = schemaVersion(database, path);
    for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
    if (version < SCHEMA_VERSION)
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}
