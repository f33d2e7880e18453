// A study's file that another process may be writing: read without ever writing, and watched by SQLite's own count of changes.
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, SearchError } from '@instatune/search';
import { studyViewFromDatabase, type DatabaseViewOptions, type StudyView } from '@instatune/search/report';

/** A file that is looked at. */
export interface StudyFile extends Disposable {
  /** The study as it is now. @throws SearchError as `studyViewFromDatabase` */
  view(): Promise<StudyView>;
  /** Another number each time another process has changed the file. */
  version(): number;
}

/** @throws SearchError `study-missing`, `study-unreadable` */
export function openStudyFile(path: string, options: DatabaseViewOptions): StudyFile {
  if (!existsSync(path))
    throw new SearchError(
      'study-missing',
      `no study file at ${path}: start one with \`instatune search --study ${path}\``,
      { path },
    );
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: 10_000 });
  } catch (error) {
    throw new SearchError('study-unreadable', `cannot read ${path}: ${messageOf(error)}`, { path }, { cause: error });
  }
  return {
    view: () => studyViewFromDatabase((sql) => database.prepare(sql).all(), { path, ...options }),
    version: () => Number(database.prepare('PRAGMA data_version').get()?.['data_version']),
    [Symbol.dispose]: () => database.close(),
  };
}
