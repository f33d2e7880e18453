// Tables of labelled texts: TSV and CSV, whole or streamed row by row.
import { SupernetError } from '../errors.ts';
import { csvParser } from './csv-parser.ts';

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
  readonly delimiter?: string | undefined;
  /** Quote character; null for files without quoting (GLUE's TSV). @defaultValue null for tab, '"' otherwise */
  readonly quote?: string | null | undefined;
  /** Column names, or indices of a file without a header row. @defaultValue 'sentence' */
  readonly text?: string | number | undefined;
  /** Column of the second text. */
  readonly pair?: string | number | undefined;
  /** @defaultValue 'label' */
  readonly label?: string | number | undefined;
  /** Class names in index order, for labels that are words; without it labels are class indices. */
  readonly classes?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
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
  let header: readonly string[] | undefined;
  for await (const rows of records(source, delimiter, quote, options.signal)) {
    for (const { record, line } of rows) {
      if (named && !header) {
        header = record;
        continue;
      }
      const cell = (column: string | number): string => {
        const index = typeof column === 'number' ? column : (header?.indexOf(column) ?? -1);
        const value = record[index];
        if (value === undefined) {
          const known = header ? ` (columns: ${header.join(', ')})` : '';
          throw new SupernetError('invalid-data', `line ${line} has no column ${column}${known}`, { line, column });
        }
        return value;
      };
      yield {
        text: cell(text),
        ...(pair !== undefined && { pair: cell(pair) }),
        label: classIndex(cell(label), options.classes, line),
      };
    }
  }
}

/** All rows of a table. See {@link readLabelledTexts}. @throws SupernetError as that does */
export async function parseLabelledTexts(source: TextChunks, options: DelimitedOptions = {}): Promise<LabelledText[]> {
  const rows: LabelledText[] = [];
  for await (const row of readLabelledTexts(source, options)) rows.push(row);
  return rows;
}

/** One row, and the line that it ends on. */
interface TableRecord {
  readonly record: readonly string[];
  readonly line: number;
}

/** The rows of each chunk. The parser works when it is written to, so a chunk is asked for once the last one's rows are taken. */
async function* records(
  source: TextChunks,
  delimiter: string,
  quote: string | null,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly TableRecord[]> {
  const parse = await csvParser();
  const parser = parse({
    delimiter,
    quote,
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    info: true,
  });
  let failed: Error | undefined;
  const over = new Promise<void>((resolve) => {
    parser.on('end', () => resolve());
    parser.on('error', (error) => {
      failed ??= error;
      resolve();
    });
  });
  const ready = (): TableRecord[] => {
    const rows: TableRecord[] = [];
    for (;;) {
      const row = parser.read() as { record: string[]; info: { lines: number } } | null;
      if (row === null) return rows;
      rows.push({ record: row.record, line: row.info.lines });
    }
  };
  try {
    for await (const piece of decoded(source)) {
      signal?.throwIfAborted();
      if (piece !== '') parser.write(piece);
      yield ready();
      if (failed) throw failed;
    }
    // The last row, and an error in it, may come later than the end: streams of Node say both in another turn.
    const rest: TableRecord[] = [];
    parser.on('readable', () => rest.push(...ready()));
    parser.end();
    rest.push(...ready());
    await over;
    if (failed) throw failed;
    yield rest;
  } catch (cause) {
    if (cause instanceof SupernetError) throw cause;
    if (signal?.aborted) throw new SupernetError('aborted', 'reading the table was aborted', {}, { cause });
    throw new SupernetError('invalid-data', `the table cannot be read: ${(cause as Error).message}`, {}, { cause });
  }
}

/** Text of a source: UTF-8, or little-endian UTF-16 where a byte order mark says so. */
async function* decoded(source: TextChunks): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let head = new Uint8Array(0);
  for await (const chunk of typeof source === 'string' ? [source] : source) {
    if (typeof chunk === 'string') {
      yield chunk;
    } else if (decoder) {
      yield decoder.decode(chunk, { stream: true });
    } else {
      const joined = new Uint8Array(head.length + chunk.length);
      joined.set(head);
      joined.set(chunk, head.length);
      head = joined;
      if (head.length < 2) continue;
      decoder = new TextDecoder(head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : 'utf-8');
      yield decoder.decode(head, { stream: true });
    }
  }
  yield decoder ? decoder.decode() : new TextDecoder().decode(head);
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
