// Sentences of tagged words from a file: CoNLL columns, or a table (JSON lines) with lists of words and of tags.
import { extname } from 'node:path';
import type { TaggedRow } from '../data/token-classification.ts';
import { TuneError } from '../errors.ts';
import { JSON_LINES, readText, requireColumns, TABLES, tableRows, type TableRow } from './read-table.ts';

/** Columns of words and of tags: names in a table, numbers from 1 in CoNLL files. */
export interface TagColumns {
  readonly tokens?: string | undefined;
  readonly tags?: string | undefined;
}

/** Extensions of files with a word and its tag a line. */
export const CONLL = /\.(conll\w*|bio|iob2?)$/i;
const TOKENS = ['tokens', 'words'] as const;
const TAGS = ['ner_tags', 'tags', 'pos_tags', 'labels'] as const;

/**
 * Reads sentences. A file without a table's extension, or a `.tsv` whose first line is no header, has CoNLL's form: columns (by tabs, else
 * by blanks) of which the first is the word and the last its tag, an empty line between sentences; `-DOCSTART-` lines are passed over, and
 * lines of `#` with another number of columns.
 *
 * @throws TuneError `invalid-data` naming file and line: lines of unlike columns, lists of unlike lengths, a file without sentences
 */
export function readTagged(path: string, columns: TagColumns): readonly TaggedRow[] {
  const rows = isTagTable(path, columns) ? tableSentences(path, columns) : conllSentences(path, columns);
  if (rows.length > 0) return rows;
  throw new TuneError(
    'invalid-data',
    `${path} has no sentences: a line has a word and its tag, an empty line ends one`,
    {
      path,
    },
  );
}

/** Whether a table's rows have lists of words and of tags, under the names that data sets use. */
export function hasTagColumns(path: string): boolean {
  if (!JSON_LINES.test(path)) return false;
  const first = readText(path)
    .split('\n')
    .find((line) => line.trim() !== '');
  try {
    const cells = Object(JSON.parse(first ?? '')) as TableRow['cells'];
    return [TOKENS, TAGS].every((names) => names.some((name) => Array.isArray(cells[name])));
  } catch {
    return false; // said where the table is read
  }
}

function isTagTable(path: string, { tokens, tags }: TagColumns): boolean {
  const extension = extname(path).toLowerCase();
  if (!(TABLES as readonly string[]).includes(extension)) return false;
  if (extension !== '.tsv') return true;
  const [header = ''] = readText(path).split(/\r?\n/, 1);
  const names = header.split('\t').map((name) => name.trim());
  const has = (given: string | undefined, usual: readonly string[]) => names.includes(given ?? columnOf(names, usual));
  return has(tokens, TOKENS) && has(tags, TAGS);
}

const columnOf = (known: readonly string[], names: readonly string[]): string =>
  names.find((name) => known.includes(name)) ?? names[0]!;

function tableSentences(path: string, given: TagColumns): readonly TaggedRow[] {
  const rows = tableRows(path);
  const known = Object.keys(rows[0]!.cells);
  const { tokens = columnOf(known, TOKENS), tags = columnOf(known, TAGS) } = given;
  requireColumns(path, rows, { tokens, tags });
  return rows.flatMap(({ cells, line }): TaggedRow[] => {
    const place = `${path}, line ${line}`;
    const [words, own] = [tokens, tags].map((column) => listOf(cells[column], `${place}, column ${column}`));
    if (words!.length !== own!.length)
      throw new TuneError(
        'invalid-data',
        `${place}: ${words!.length} words in column ${tokens}, ${own!.length} tags in column ${tags}: give every word a tag`,
        { path, line, words: words!.length, tags: own!.length },
      );
    return words!.length === 0 ? [] : [{ tokens: words!, tags: own!, place }];
  });
}

/** A list of JSON; in a cell of text one written as JSON or Python writes it, else what stands between blanks. */
function listOf(value: unknown, place: string): readonly string[] {
  const isText = typeof value === 'string';
  const list = isText && value.trim().startsWith('[') ? writtenList(value) : isText ? value.split(/\s+/) : value;
  if (Array.isArray(list) && list.every((each) => typeof each === 'string' || typeof each === 'number'))
    return isText ? list.map(String).filter((each) => each !== '') : list.map(String);
  throw new TuneError('invalid-data', `${place} is no list of texts or numbers`, { place });
}

function writtenList(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const items = text.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s,[\]]+)/g);
    return [...items].map(([, single, double, bare]) => (single ?? double ?? bare!).replace(/\\(.)/g, '$1'));
  }
}

function conllSentences(path: string, { tokens, tags }: TagColumns): readonly TaggedRow[] {
  const lines = readText(path).split(/\r?\n/);
  const first = lines.findIndex((line) => line.trim() !== '' && !line.startsWith('#') && !isDocumentStart(line));
  if (first < 0) return [];
  const isTabbed = lines[first]!.includes('\t');
  const split = (line: string) =>
    (isTabbed ? line.split('\t') : line.trim().split(/[ \t]+/)).map((cell) => cell.trim());
  const width = split(lines[first]!).length;
  const [word, tag] = [columnAt(path, 'tokens', tokens, 1, width), columnAt(path, 'tags', tags, width, width)];
  const sentences: TaggedRow[] = [];
  let [words, own, begun]: [string[], string[], number] = [[], [], 0];
  const close = (): void => {
    if (words.length > 0) sentences.push({ tokens: words, tags: own, place: `${path}, line ${begun}` });
    [words, own] = [[], []];
  };
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '' || isDocumentStart(line)) {
      close();
      continue;
    }
    const cells = split(line);
    if (line.startsWith('#') && cells.length !== width) continue;
    if (cells.length !== width || width < 2 || cells[word] === '' || cells[tag] === '')
      throw ragged(path, index + 1, cells, { width, first });
    if (words.length === 0) begun = index + 1;
    words.push(cells[word]!);
    own.push(cells[tag]!);
  }
  close();
  return sentences;
}

const isDocumentStart = (line: string): boolean => /^-DOCSTART-(\s|$)/.test(line);

function columnAt(path: string, option: string, given: string | undefined, otherwise: number, width: number): number {
  const at = given === undefined ? otherwise : Number(given);
  if (Number.isInteger(at) && at >= 1 && at <= width) return at - 1;
  throw new TuneError(
    'invalid-option',
    `--${option} is "${given}", and ${path} has ${width} columns without names: give a number from 1 to ${width}`,
    { path, option, width },
  );
}

function ragged(
  path: string,
  line: number,
  cells: readonly string[],
  { width, first }: { readonly width: number; readonly first: number },
): TuneError {
  const found =
    cells.length === 1 || width < 2
      ? 'a word without a tag'
      : cells.length === width
        ? 'an empty column'
        : `${cells.length} columns, line ${first + 1} has ${width}`;
  return new TuneError(
    'invalid-data',
    `${path}, line ${line}: ${found}: every line has the same columns (a word, its tag), an empty line ends a sentence`,
    { path, line, columns: cells.length, width },
  );
}
