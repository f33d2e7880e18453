// Tables of texts with columns named by the caller: CSV, TSV and JSON lines, streamed row by row; errors name row and column.
import { SupernetError } from '../errors.ts';
import { decoded, records } from './records.ts';
import type { TextChunks } from './records.ts';

/** One row of a table, as it is written: what its labels are is settled later ({@link labelTexts}). */
export interface TextExample {
  /** Line of the file, from 1; of a cell over several lines the last one. */
  readonly line: number;
  readonly text: string;
  /** Second text of a pair. */
  readonly pair?: string;
  /** One label: a class or a number. */
  readonly label?: string;
  /** Any number of labels, or one number an output. */
  readonly labels?: readonly string[];
  /** The words that `text` is made of, with a tag each. */
  readonly tokens?: readonly string[];
  readonly tags?: readonly string[];
}

/** Options of {@link readExamples}. Columns go by the header's names, or by index (from 0) of a table without a header. */
export interface ExampleOptions {
  /** @defaultValue 'csv' */
  readonly format?: 'csv' | 'tsv' | 'jsonl' | undefined;
  /** @defaultValue ',' of csv, tab of tsv */
  readonly delimiter?: string | undefined;
  /** Quote character; null for files without quoting. @defaultValue '"' of csv, null of tsv */
  readonly quote?: string | null | undefined;
  /** Column of the text. @defaultValue 'text' */
  readonly text?: string | number | undefined;
  /** Column of a second text. */
  readonly pair?: string | number | undefined;
  /** Column of one label. */
  readonly label?: string | number | undefined;
  /** Column of several labels in one cell, or a column a label (its number). */
  readonly labels?: string | number | readonly (string | number)[] | undefined;
  /** Columns of words and of their tags, instead of `text`. */
  readonly tokens?: string | number | undefined;
  readonly tags?: string | number | undefined;
  /** Between the labels of a cell. @defaultValue '|' */
  readonly labelSeparator?: string | undefined;
  /** Between the words, and the tags, of a cell. @defaultValue ' ' */
  readonly tokenSeparator?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A cell: text of CSV, anything of JSON. */
type Cell = (column: string | number) => unknown;

/**
 * Reads a table row by row; memory does not grow with the file. JSON lines may have lists for `labels`, `tokens` and `tags`.
 *
 * @throws SupernetError `invalid-data` naming line and column: a column that is not there, an empty text, tags that are not as many as words,
 * broken quoting or JSON; `invalid-option`, `aborted`
 *
 * @example
 * ```ts
 * import { parseExamples } from '@instatune/supernet';
 *
 * const rows = await parseExamples('sentence1,sentence2,score\nA dog runs.,"A dog, running",4.8\n', {
 *   text: 'sentence1', pair: 'sentence2', label: 'score' });
 * console.log(rows[0]!.pair, rows[0]!.label); // => A dog, running 4.8
 * ```
 */
export async function* readExamples(source: TextChunks, options: ExampleOptions = {}): AsyncGenerator<TextExample> {
  const { format = 'csv', signal } = options;
  if (!['csv', 'tsv', 'jsonl'].includes(format)) {
    throw new SupernetError('invalid-option', `format = ${String(format)}: expected csv, tsv or jsonl`, { format });
  }
  if ((options.tokens === undefined) !== (options.tags === undefined)) {
    throw new SupernetError('invalid-option', 'tokens and tags are columns of one table: give both or neither', {});
  }
  const rows = format === 'jsonl' ? jsonRows(source, signal) : delimitedRows(source, options);
  for await (const { cell, line } of rows) yield example(cell, line, options);
}

/** All rows of a table. See {@link readExamples}. @throws SupernetError as that does */
export async function parseExamples(source: TextChunks, options: ExampleOptions = {}): Promise<TextExample[]> {
  const rows: TextExample[] = [];
  for await (const row of readExamples(source, options)) rows.push(row);
  return rows;
}

function example(cell: Cell, line: number, options: ExampleOptions): TextExample {
  const { text = 'text', pair, label, labels, tokens, tags, labelSeparator = '|', tokenSeparator = ' ' } = options;
  const wordsOf = (column: string | number) => listOf(cell(column), tokenSeparator, line, column);
  const words = tokens === undefined ? undefined : wordsOf(tokens);
  const ofWords = tags === undefined ? undefined : wordsOf(tags);
  if (words && ofWords && words.length !== ofWords.length) {
    const message = `${place(line, tags as string)}: ${ofWords.length} tags for ${words.length} words`;
    throw new SupernetError('invalid-data', message, { line, column: tags, words: words.length, tags: ofWords.length });
  }
  const own = words ? words.join(' ') : textOf(cell(text), line, text);
  if (own.trim() === '') {
    const column = words ? (tokens as string) : text;
    throw new SupernetError('invalid-data', `${place(line, column)} has no text`, { line, column });
  }
  return {
    line,
    text: own,
    ...(pair !== undefined && { pair: textOf(cell(pair), line, pair) }),
    ...(label !== undefined && { label: textOf(cell(label), line, label).trim() }),
    ...(labels !== undefined && { labels: labelsOf(cell, labels, labelSeparator, line) }),
    ...(words && ofWords && { tokens: words, tags: ofWords }),
  };
}

function labelsOf(
  cell: Cell,
  columns: NonNullable<ExampleOptions['labels']>,
  separator: string,
  line: number,
): string[] {
  if (typeof columns === 'object') return columns.map((column) => textOf(cell(column), line, column).trim());
  return listOf(cell(columns), separator, line, columns);
}

/** A list of JSON, or what stands between separators. */
function listOf(value: unknown, separator: string, line: number, column: string | number): string[] {
  if (Array.isArray(value)) return value.map((entry: unknown) => textOf(entry, line, column));
  const parts = textOf(value, line, column).split(separator);
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

function textOf(value: unknown, line: number, column: string | number): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;
  const message = `${place(line, column)} is ${found}: expected a text or a number`;
  throw new SupernetError('invalid-data', message, { line, column, value });
}

/** Where a cell is, in words. */
export function place(line: number, column: string | number | undefined): string {
  return column === undefined ? `line ${line}` : `line ${line}, column ${JSON.stringify(column)}`;
}

interface Row {
  readonly cell: Cell;
  readonly line: number;
}

async function* delimitedRows(source: TextChunks, options: ExampleOptions): AsyncGenerator<Row> {
  const isTabbed = options.format === 'tsv';
  const { delimiter = isTabbed ? '\t' : ',', signal } = options;
  const quote = options.quote === undefined ? (isTabbed ? null : '"') : options.quote;
  const { text = 'text', pair, label, labels, tokens, tags } = options;
  const columns = [
    tokens === undefined ? text : tokens,
    pair,
    label,
    tags,
    ...(typeof labels === 'object' ? labels : [labels]),
  ];
  const isNamed = columns.some((column) => typeof column === 'string');
  let header: readonly string[] | undefined;
  for await (const rows of records(source, delimiter, quote, signal)) {
    for (const { record, line } of rows) {
      if (isNamed && !header) {
        header = record.map((name) => name.trim());
        continue;
      }
      const cell: Cell = (column) => {
        const value = record[typeof column === 'number' ? column : (header?.indexOf(column) ?? -1)];
        if (value !== undefined) return value;
        throw noColumn(line, column, header ?? record.map((_, index) => String(index)));
      };
      yield { cell, line };
    }
  }
}

async function* jsonRows(source: TextChunks, signal: AbortSignal | undefined): AsyncGenerator<Row> {
  let line = 0;
  for await (const text of lines(source)) {
    if (signal?.aborted)
      throw new SupernetError('aborted', 'reading the table was aborted', {}, { cause: signal.reason });
    line++;
    if (text.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      const message = `line ${line} is no JSON: ${(cause as Error).message}`;
      throw new SupernetError('invalid-data', message, { line }, { cause });
    }
    if (typeof value !== 'object' || value === null) {
      throw new SupernetError('invalid-data', `line ${line} is no object: expected {"column": value, …}`, {
        line,
        value,
      });
    }
    const object = value as Readonly<Record<string, unknown>>;
    const at = line;
    const cell: Cell = (column) => {
      if (Object.hasOwn(object, column)) return object[column];
      throw noColumn(at, column, Object.keys(object));
    };
    yield { cell, line };
  }
}

async function* lines(source: TextChunks): AsyncGenerator<string> {
  let held = '';
  for await (const piece of decoded(source)) {
    const parts = `${held}${piece}`.split('\n');
    held = parts.pop() as string;
    yield* parts;
  }
  if (held !== '') yield held;
}

function noColumn(line: number, column: string | number, columns: readonly string[]): SupernetError {
  const message = `line ${line} has no column ${JSON.stringify(column)} (columns: ${columns.join(', ')})`;
  return new SupernetError('invalid-data', message, { line, column, columns });
}
