// Which schema a study file has, and bringing it to the newest one.
import type { DatabaseSync } from 'node:sqlite';
import { SearchError } from '../errors.ts';
import { APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION } from './schema.ts';

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
