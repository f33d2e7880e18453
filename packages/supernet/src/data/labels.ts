// From labels as they are written to what a model learns: the problem, the names of its outputs, and class indices, values or tags.
import type { ProblemType } from '@hip/checkpoints';
import { SupernetError } from '../errors.ts';
import type { LabelledText } from './delimited.ts';
import { place } from './examples.ts';
import type { TextExample } from './examples.ts';
import type { TaggedText } from './token-classification.ts';

/** What is learned from texts: a `problem_type` of transformers, or tags of tokens. */
export type TextProblem = ProblemType | 'token_classification';

/** A problem and its outputs. */
export interface LabelScheme {
  readonly problem: TextProblem;
  /** Of the outputs, in order: classes, tags, or values. */
  readonly names: readonly string[];
}

/**
 * What a table's labels say of its problem: tags are of tokens; several labels a row are of any number of classes; numbers that are not
 * all whole are values; whole numbers from 0 on are classes of these indices; all else are classes by name. Names are in order of the alphabet,
 * `O` first among tags.
 *
 * @param problem - what it is, where that is known (scores of 1 to 5 are values, if you say so)
 * @throws SupernetError `invalid-data` for a table without labels, values that are no numbers (naming the line)
 *
 * @example
 * ```ts
 * import { labelScheme, parseExamples } from '@instatune/supernet';
 *
 * const rows = await parseExamples('text,mood\nfine,good\nawful,bad\n', { label: 'mood' });
 * console.log(labelScheme(rows).names.join()); // => bad,good
 * ```
 */
export function labelScheme(rows: Iterable<TextExample>, problem?: TextProblem): LabelScheme {
  const all = [...rows];
  const [first] = all;
  if (!first) throw new SupernetError('invalid-data', 'the table has no rows');
  const found = problem ?? problemOf(first, all);
  if (found === 'regression') return { problem: found, names: valueNames(first) };
  const names = new Set<string>();
  for (const { label, labels, tags } of all)
    for (const name of tags ?? labels ?? (label ? [label] : [])) names.add(name);
  if (names.size === 0) {
    throw new SupernetError(
      'invalid-data',
      'the table has no labels: name their column (label, labels, or tokens and tags)',
    );
  }
  const isCounted = found === 'single_label_classification' && [...names].every((name) => /^\d+$/.test(name));
  if (isCounted) {
    const most = Math.max(...[...names].map(Number));
    if (most < 2 * names.size + 8)
      return { problem: found, names: Array.from({ length: most + 1 }, (_, id) => String(id)) };
  }
  const order = (name: string) => (found === 'token_classification' && name === 'O' ? '' : name);
  return { problem: found, names: [...names].sort((a, b) => (order(a) < order(b) ? -1 : 1)) };
}

function problemOf(first: TextExample, rows: readonly TextExample[]): TextProblem {
  if (first.tags) return 'token_classification';
  const isNumber = (text: string) => text !== '' && Number.isFinite(Number(text));
  if (first.labels) {
    const numbers = rows.every(({ labels = [] }) => labels.length === first.labels?.length && labels.every(isNumber));
    const some = rows.some(({ labels = [] }) => labels.some((label) => !/^\d+$/.test(label)));
    return numbers && some ? 'regression' : 'multi_label_classification';
  }
  const labels = rows.flatMap(({ label }) => (label ? [label] : []));
  const isOfValues = labels.every(isNumber) && labels.some((label) => !/^\d+$/.test(label));
  return labels.length > 0 && isOfValues ? 'regression' : 'single_label_classification';
}

function valueNames({ labels }: TextExample): string[] {
  return labels ? labels.map((_, id) => `value_${id}`) : ['value'];
}

/**
 * Texts with what their outputs should be, for {@link textClassification}. An empty single label does not count.
 *
 * @throws SupernetError `invalid-data` naming line and label: one that is none of the names, a value that is no number, tags (which are for
 * {@link tagTexts})
 *
 * @example
 * ```ts
 * import { labelScheme, labelTexts, parseExamples } from '@instatune/supernet';
 *
 * const rows = await parseExamples('{"text":"fine","about":["food","price"]}\n{"text":"loud","about":[]}\n', {
 *   format: 'jsonl', labels: 'about' });
 * console.log(labelTexts(rows, labelScheme(rows)).map(({ values }) => values!.join('')).join()); // => 11,00
 * ```
 */
export function labelTexts(rows: readonly TextExample[], { problem, names }: LabelScheme): LabelledText[] {
  const index = new Map(names.map((name, id) => [name, id]));
  return rows.map((row): LabelledText => {
    const { text, pair, line, label, labels } = row;
    const texts = { text, ...(pair !== undefined && { pair }) };
    switch (problem) {
      case 'token_classification':
        throw new SupernetError('invalid-data', 'tags are of tokens: give the rows to tagTexts', { line });
      case 'regression': {
        const given = labels ?? (label === undefined || label === '' ? [] : [label]);
        if (given.length === 0 && !labels) return { ...texts, label: -1, values: names.map(() => 0) };
        return { ...texts, label: 0, values: valuesOfRow(given, names, line) };
      }
      case 'multi_label_classification': {
        const own = new Set((labels ?? (label ? [label] : [])).map((name) => known(index, name, line)));
        return { ...texts, label: 0, values: names.map((_, id) => (own.has(id) ? 1 : 0)) };
      }
      case 'single_label_classification':
        return { ...texts, label: label === undefined || label === '' ? -1 : known(index, label, line) };
    }
  });
}

/** Words with class indices of their tags, for {@link tokenClassification}. @throws SupernetError `invalid-data` naming the line and the tag */
export function tagTexts(rows: readonly TextExample[], { names }: LabelScheme): TaggedText[] {
  const index = new Map(names.map((name, id) => [name, id]));
  return rows.map(({ line, tokens, tags }) => {
    if (!tokens || !tags) {
      throw new SupernetError('invalid-data', `line ${line} has no tags: name the columns tokens and tags`, { line });
    }
    return { tokens, labels: tags.map((tag) => known(index, tag, line)) };
  });
}

function known(index: ReadonlyMap<string, number>, name: string, line: number): number {
  const id = index.get(name);
  if (id !== undefined) return id;
  const names = [...index.keys()];
  const shown = `${names.slice(0, 8).join(', ')}${names.length > 8 ? ', …' : ''}`;
  const message = `${place(line, undefined)}: label ${JSON.stringify(name)}: expected one of ${shown}`;
  throw new SupernetError('invalid-data', message, { line, label: name, names });
}

function valuesOfRow(given: readonly string[], names: readonly string[], line: number): number[] {
  if (given.length !== names.length) {
    const message = `line ${line} has ${given.length} values: expected ${names.length}`;
    throw new SupernetError('invalid-data', message, { line, values: given.length, outputs: names.length });
  }
  return given.map((text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (Number.isFinite(value)) return value;
    throw new SupernetError('invalid-data', `line ${line}: label ${JSON.stringify(text)}: expected a number`, {
      line,
      label: text,
    });
  });
}
