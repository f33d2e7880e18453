// A table of labelled texts from a file: CSV, TSV or JSON lines, columns by name.
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { parse } from 'csv-parse/sync';
import { nearest } from '@instatune/search';
import { TuneError } from '../errors.ts';
import type { TextRow } from '../data/text-classification.ts';

/** Columns of a table. */
export interface Columns {
  readonly text: string;
  readonly pair?: string | undefined;
  readonly label?: string | undefined;
  /** Column of several classes: a list in JSON lines, else texts with `|`, `;` or a comma between. */
  readonly labels?: string | undefined;
}

/** Extensions of tables. */
export const TABLES = ['.csv', '.tsv', '.jsonl', '.ndjson'] as const;
/** Those that are JSON lines. */
export const JSON_LINES = /\.(jsonl|ndjson)$/i;

/** A row of a table by column, and its line. */
export interface TableRow {
  readonly cells: Readonly<Record<string, unknown>>;
  readonly line: number;
}

/**
 * Reads a table. In TSV a quote is a character like any other; in CSV it quotes.
 *
 * @throws TuneError `invalid-data` naming file and line: a column that is not there (with those that are), a label that is missing
 */
export function readTable(path: string, columns: Columns): readonly TextRow[] {
  const rows = tableRows(path);
  requireColumns(path, rows, { ...columns });
  return rows.map(({ cells, line }) => {
    const cell = (name: string): string => {
      const value = cells[name];
      if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
      throw new TuneError('invalid-data', `${path}, line ${line}: nothing in column ${name}`, {
        path,
        line,
        column: name,
      });
    };
    const place = `${path}, line ${line}`;
    const pair = columns.pair === undefined ? {} : { pair: cell(columns.pair) };
    const row = { text: cell(columns.text), ...pair, place };
    if (columns.labels !== undefined) return { ...row, label: '', labels: severalOf(cells[columns.labels]) };
    const label = cell(columns.label!).trim();
    if (label !== '') return { ...row, label };
    throw new TuneError('invalid-data', `${place}: no label in column ${columns.label}`, { path, line });
  });
}

/** Rows of a table as they are. @throws TuneError `invalid-data` for none, or what is no table */
export function tableRows(path: string): readonly TableRow[] {
  const text = readText(path);
  const rows = JSON_LINES.test(path) ? jsonRows(text, path) : delimitedRows(text, path);
  if (rows.length === 0)
    throw new TuneError(
      'invalid-data',
      `${path} has no rows: give a line for each example, after one that names the columns`,
      { path },
    );
  return rows;
}

/** @param columns names by the option that names them @throws TuneError `invalid-data` for one that is not there, with those that are */
export function requireColumns(
  path: string,
  rows: readonly TableRow[],
  columns: Readonly<Partial<Record<string, string>>>,
): void {
  const known = Object.keys(rows[0]!.cells);
  for (const [option, name] of Object.entries(columns)) {
    if (name === undefined || known.includes(name)) continue;
    const meant = nearest(name, known);
    throw new TuneError(
      'invalid-data',
      `${path} has no column "${name}"${meant === undefined ? '' : ` (did you mean ${meant}?)`}: give --${option} one of ${known.join(', ')}`,
      { path, column: name, columns: known },
    );
  }
}

function severalOf(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : typeof value === 'string' ? value.split(/[|;,]/) : [];
  return list.map((each) => String(each).trim()).filter((each) => each !== '');
}

/** A file's text, without a byte order mark. @throws TuneError `invalid-data` */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    const message =
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new TuneError('invalid-data', `cannot read ${path}: ${message}`, { path }, { cause });
  }
}

function delimitedRows(text: string, path: string): readonly TableRow[] {
  const isTab = extname(path).toLowerCase() === '.tsv';
  try {
    const rows = parse(text, {
      delimiter: isTab ? '\t' : ',',
      quote: isTab ? null : '"',
      columns: true,
      skip_empty_lines: true,
      relax_column_count: true,
      info: true,
    }) as unknown as { readonly record: TableRow['cells']; readonly info: { readonly lines: number } }[];
    return rows.map(({ record, info }) => ({ cells: record, line: info.lines }));
  } catch (cause) {
    throw new TuneError('invalid-data', `${path} is no table: ${(cause as Error).message}`, { path }, { cause });
  }
}

function jsonRows(text: string, path: string): readonly TableRow[] {
  return text.split('\n').flatMap((content, index): TableRow[] => {
    if (content.trim() === '') return [];
    try {
      const cells: unknown = JSON.parse(content);
      if (typeof cells === 'object' && cells !== null && !Array.isArray(cells))
        return [{ cells: cells as TableRow['cells'], line: index + 1 }];
    } catch {
      // said below
    }
    throw new TuneError('invalid-data', `${path}, line ${index + 1} is no JSON object`, { path, line: index + 1 });
  });
}
