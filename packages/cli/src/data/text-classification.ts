// Labelled texts (or pairs) as the data of a task: classes, a length that most of them need, parts that share no text.
import type { ProblemType, TextTokenizer } from '@hip/checkpoints';
import { textClassification } from '@instatune/supernet';
import { TuneError } from '../errors.ts';
import { classesOf, labelIndices } from './classes.ts';
import { digest } from './digest.ts';
import { LENGTH_MULTIPLE, neededTokens } from './lengths.ts';
import { splitRows, type PartOptions } from './parts.ts';
import type { TaskData } from './task.ts';

/** One row of a table, its label as it is written. */
export interface TextRow {
  readonly text: string;
  readonly pair?: string;
  readonly label: string;
  /** Several classes of a row (or none); `label` is then not looked at. */
  readonly labels?: readonly string[];
  /** Where it stands, for messages. @defaultValue its number */
  readonly place?: string;
}

/** Options of {@link textTask}. */
export interface TextTaskOptions extends PartOptions {
  /** Rows of a test set. @defaultValue a part of the rows is kept back */
  readonly test?: readonly TextRow[] | undefined;
  /** What is learnt. @defaultValue any number of classes where rows have `labels`; values where labels are numbers that are not all whole; else classes */
  readonly problem?: ProblemType | undefined;
  /** Class names of the checkpoint. @defaultValue none */
  readonly knownClasses?: readonly string[] | undefined;
  /** Tokens of a text at most. @defaultValue what 99 % of the texts need, at most 128 */
  readonly maxTokens?: number | undefined;
}

/** Texts whose lengths are looked at. */
const SAMPLE = 2000;

/**
 * Data of a text classification task. Rows of the same text are in the same part.
 *
 * @throws TuneError `invalid-data`, `invalid-option`; SupernetError `invalid-data`
 *
 * @example
 * ```ts
 * const data = await textTask(rows, tokenizer, { seed: 1 });
 * ```
 */
export async function textTask(
  rows: readonly TextRow[],
  tokenizer: TextTokenizer,
  options: TextTaskOptions = {},
): Promise<TaskData> {
  const { test, knownClasses, seed = 0 } = options;
  if (rows.length === 0) throw new TuneError('invalid-data', 'the table has no rows');
  const problem = options.problem ?? problemOf(rows);
  const classes = outputsOf(rows, problem, knownClasses);
  const maxTokens = options.maxTokens ?? neededTokens(lengthsOf(rows, tokenizer));
  const dataset = (of: readonly TextRow[]) => {
    const targets = targetsOf(of, problem, classes);
    const labelled = of.map(({ text, pair }, row) => ({
      text,
      ...(pair !== undefined && { pair }),
      ...targets[row]!,
    }));
    return textClassification(labelled, tokenizer, { maxTokens, padToMultipleOf: LENGTH_MULTIPLE });
  };
  const keyOf = ({ text, pair }: TextRow) => JSON.stringify([text.trim(), pair?.trim()]);
  const parts = splitRows(rows, keyOf, { ...options, reportGiven: test !== undefined });
  const described = `${parts.train.length} rows to train on, ${parts.validation.length} to search by, ${(test ?? parts.report).length} ${test ? 'of the test set' : 'kept back'} to report; at most ${maxTokens} tokens; ${problem === 'regression' ? 'values' : `${classes.length} classes`}`;
  return {
    task: 'text-classification',
    problem,
    train: dataset(parts.train),
    validation: dataset(parts.validation),
    report: dataset(test ?? parts.report),
    classes,
    tokens: maxTokens,
    fingerprint: await digest([
      rows.map(contentOf),
      test?.map(contentOf) ?? null,
      problem,
      classes,
      maxTokens,
      seed,
      parts.validation.length,
      parts.report.length,
    ]),
    described,
  };
}

/** What a row says, wherever its table lies. */
const contentOf = ({ text, pair, label, labels }: TextRow): readonly unknown[] => [text, pair, label, labels];

const isNumber = (text: string): boolean => text.trim() !== '' && Number.isFinite(Number(text));

function problemOf(rows: readonly TextRow[]): ProblemType {
  if (rows.some(({ labels }) => labels !== undefined)) return 'multi_label_classification';
  const values = rows.every(({ label }) => isNumber(label)) && rows.some(({ label }) => !/^\d+$/.test(label));
  return values ? 'regression' : 'single_label_classification';
}

function outputsOf(rows: readonly TextRow[], problem: ProblemType, known: readonly string[] = []): readonly string[] {
  if (problem === 'regression') return ['value'];
  if (problem === 'single_label_classification')
    return classesOf(
      rows.map(({ label }) => label),
      known,
    );
  const names = [...new Set(rows.flatMap(({ labels = [] }) => labels))].sort();
  if (names.length === 0) throw new TuneError('invalid-data', 'no row has any class', {});
  return known.length >= names.length && names.every((name) => known.includes(name)) ? known : names;
}

/** What a row's outputs should be. */
function targetsOf(
  rows: readonly TextRow[],
  problem: ProblemType,
  classes: readonly string[],
): readonly { readonly label: number; readonly values?: readonly number[] }[] {
  const place = (row: number) => rows[row]!.place ?? `row ${row + 1}`;
  if (problem === 'single_label_classification')
    return labelIndices(
      rows.map(({ label }) => label),
      classes,
      place,
    ).map((label) => ({ label }));
  return rows.map(({ label, labels = [] }, row) => {
    if (problem === 'multi_label_classification') {
      const own = new Set(labelIndices(labels, classes, () => place(row)));
      return { label: 0, values: classes.map((_, index) => (own.has(index) ? 1 : 0)) };
    }
    if (isNumber(label)) return { label: 0, values: [Number(label)] };
    throw new TuneError('invalid-data', `${place(row)}: label ${JSON.stringify(label)} is no number`, { label });
  });
}

function lengthsOf(rows: readonly TextRow[], tokenizer: TextTokenizer): readonly number[] {
  const step = Math.max(1, Math.floor(rows.length / SAMPLE));
  return rows
    .filter((_, row) => row % step === 0)
    .map(
      ({ text, pair }) => (pair === undefined ? tokenizer.encode(text) : tokenizer.encodePair(text, pair).ids).length,
    );
}
