// What a view is read through: one function that runs SQL.
import { SearchError } from '../errors.ts';

/** Runs one statement and gives its rows, columns by name. */
export type Query = (
  sql: string,
) => Promise<readonly Readonly<Record<string, unknown>>[]> | readonly Readonly<Record<string, unknown>>[];

export interface DatabaseViewOptions {
  /** Which study of a file that holds several. @defaultValue the newest */
  readonly study?: string;
  /** What the file is called in messages. @defaultValue 'the file' */
  readonly path?: string;
  /** Names of an Optuna study's objectives in order. @defaultValue those it was given (`set_metric_names`), else `objective 0`, … */
  readonly objectives?: readonly string[];
}

/** Names there are, where the one that was asked for is not. */
export function missing(path: string, wanted: string | undefined, names: readonly string[]): SearchError {
  return new SearchError(
    'study-missing',
    wanted === undefined ? `${path} holds no study` : `no study "${wanted}" in ${path}: it holds ${names.join(', ')}`,
    { path, names },
  );
}
