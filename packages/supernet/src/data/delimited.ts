// Tables of labelled texts: TSV and CSV, whole or streamed row by row.
import { parse } from 'csv-parse';
import type { Options } from 'csv-parse';
import { SupernetError } from '../errors.ts';

/** One labelled text (or pair of texts). */
export interface LabelledText {
  readonly text: string;
  /** Second text of a pair task. */
  readonly pair?: string;
  /** Class index, or −1 where the table has no label. */
  readonly label: number;
}

/** Options of {@link readLabelledTexts}. */
export interface DelimitedOptions {
  /** @defaultValue tab */
  readonly delimiter?: string;
  /** Quote character; null for files without quoting (GLUE's TSV). @defaultValue null for tab, '"' otherwise */
  readonly quote?: string | null;
  /** Column names, or indices of a file without a header row. @defaultValue 'sentence' */
  readonly text?: string | number;
  /** Column of the second text. */
  readonly pair?: string | number;
  /** @defaultValue 'label' */
  readonly label?: string | number;
  /** Class names in index order, for labels that are words; without it labels are class indices. */
  readonly classes?: readonly string[];
  readonly signal?: AbortSignal;
}

/** Text in pieces: a string, chunks of a file, a web stream. */
export type TextChunks = string | AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>;

/**
 * Reads rows one by one; memory does not grow with the file.
 *
 * @throws SupernetError `invalid-data` naming the line: a missing column, an unknown label, broken quoting
 *
 * @example
 * ```ts
 * import { createReadStream } from 'node:fs';
 * for await (const { text, label } of readLabelledTexts(createReadStream('train.tsv'))) console.log(label, text);
 * ```
 */
export async function* readLabelledTexts(
  source: TextChunks,
  options: DelimitedOptions = {},
): AsyncGenerator<LabelledText> {
  const { delimiter = '\t', text = 'sentence', pair, label = 'label' } = options;
  const quote = options.quote === undefined ? (delimiter === '\t' ? null : '"') : options.quote;
  const named = [text, pair, label].some((column) => typeof column === 'string');
  const settings: Options = {
    delimiter,
    quote,
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    info: true,
  };
  const parser = parse(settings);
  const feeding = feed(parser, source, options.signal);
  let header: readonly string[] | undefined;
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      if (named && !header) {
        header = record;
        continue;
      }
      const cell = (column: string | number): string => {
        const index = typeof column === 'number' ? column : (header?.indexOf(column) ?? -1);
        const value = record[index];
        if (value === undefined) {
          const known = header ? ` (columns: ${header.join(', ')})` : '';
          throw new SupernetError('invalid-data', `line ${info.lines} has no column ${column}${known}`, {
            line: info.lines,
            column,
          });
        }
        return value;
      };
      yield {
        text: cell(text),
        ...(pair !== undefined && { pair: cell(pair) }),
        label: classIndex(cell(label), options.classes, info.lines),
      };
    }
    await feeding;
  } catch (cause) {
    if (cause instanceof SupernetError) throw cause;
    throw new SupernetError('invalid-data', `the table cannot be read: ${(cause as Error).message}`, {}, { cause });
  } finally {
    parser.destroy();
    await feeding.catch(() => {});
  }
}

/** All rows of a table. See {@link readLabelledTexts}. */
export async function parseLabelledTexts(source: TextChunks, options: DelimitedOptions = {}): Promise<LabelledText[]> {
  const rows: LabelledText[] = [];
  for await (const row of readLabelledTexts(source, options)) rows.push(row);
  return rows;
}

async function feed(
  parser: ReturnType<typeof parse>,
  source: TextChunks,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    for await (const chunk of typeof source === 'string' ? [source] : source) {
      signal?.throwIfAborted();
      if (parser.destroyed) return;
      if (!parser.write(chunk)) await new Promise<void>((resolve) => onceDrained(parser, resolve));
    }
    parser.end();
  } catch (cause) {
    parser.destroy(
      signal?.aborted ? new SupernetError('aborted', 'reading the table was aborted', {}, { cause }) : (cause as Error),
    );
  }
}

function onceDrained(parser: ReturnType<typeof parse>, resolve: () => void): void {
  const done = () => {
    parser.off('drain', done);
    parser.off('close', done);
    resolve();
  };
  parser.on('drain', done);
  parser.on('close', done);
}

function classIndex(value: string, classes: readonly string[] | undefined, line: number): number {
  const trimmed = value.trim();
  if (classes) {
    const index = classes.indexOf(trimmed);
    if (index >= 0) return index;
  } else if (/^-?\d+$/.test(trimmed)) {
    return Math.max(-1, Number(trimmed));
  }
  const expected = classes ? `one of ${classes.join(', ')}` : 'a class index (or give `classes`)';
  throw new SupernetError('invalid-data', `line ${line}: label ${JSON.stringify(value)}: expected ${expected}`, {
    line,
    value,
  });
}
