// Tables of labelled texts: TSV and CSV, whole or streamed row by row.
import { SupernetError } from '../errors.ts';
import { records } from './records.ts';
import type { TextChunks } from './records.ts';

/** One labelled text (or pair of texts). */
export interface LabelledText {
  readonly text: string;
  /** Second text of a pair task. */
  readonly pair?: string;
  /** Class index, or −1 where the table has no label. Of a row with `values` it only says whether the row counts. */
  readonly label: number;
  /** What the outputs should be, where they are no single class: values (regression), or 0…1 a class. */
  readonly values?: readonly number[];
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
