// Labelled texts (or pairs) as the data of a task: classes, a length that most of them need, parts that share no text.
import type { TextTokenizer } from '@hip/checkpoints';
import { deriveSeed, SeededRandom, shuffledIndices, textClassification } from '@instatune/supernet';
import { TuneError } from '../errors.ts';
import { classesOf, labelIndices } from './classes.ts';
import { digest } from './digest.ts';
import { partSizes, type PartOptions } from './parts.ts';
import type { TaskData } from './task.ts';

/** One row of a table, its label as it is written. */
export interface TextRow {
  readonly text: string;
  readonly pair?: string;
  readonly label: string;
  /** Where it stands, for messages. @defaultValue its number */
  readonly place?: string;
}

/** Options of {@link textTask}. */
export interface TextTaskOptions extends PartOptions {
  /** Rows of a test set. @defaultValue a part of the rows is kept back */
  readonly test?: readonly TextRow[] | undefined;
  /** Class names of the checkpoint. @defaultValue none */
  readonly knownClasses?: readonly string[] | undefined;
  /** Tokens of a text at most. @defaultValue what 99 % of the texts need, at most 128 */
  readonly maxTokens?: number | undefined;
}

const MOST_TOKENS = 128;
/** Texts whose lengths are looked at. */
const SAMPLE = 2000;
/** Lengths of batches are multiples: fewer shapes, and fuller vectors. */
const MULTIPLE = 8;

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
  const classes = classesOf(
    rows.map(({ label }) => label),
    knownClasses,
  );
  const maxTokens = options.maxTokens ?? neededTokens(rows, tokenizer);
  const dataset = (of: readonly TextRow[]) => {
    const labels = labelIndices(
      of.map(({ label }) => label),
      classes,
      (row) => of[row]!.place ?? `row ${row + 1}`,
    );
    const labelled = of.map(({ text, pair }, row) => ({
      text,
      ...(pair !== undefined && { pair }),
      label: labels[row]!,
    }));
    return textClassification(labelled, tokenizer, { maxTokens, padToMultipleOf: MULTIPLE });
  };
  const parts = splitRows(rows, options);
  const described = `${parts.train.length} rows to train on, ${parts.validation.length} to search by, ${(test ?? parts.report).length} ${test ? 'of the test set' : 'kept back'} to report; at most ${maxTokens} tokens; ${classes.length} classes`;
  return {
    task: 'text-classification',
    train: dataset(parts.train),
    validation: dataset(parts.validation),
    report: dataset(test ?? parts.report),
    classes,
    tokens: maxTokens,
    fingerprint: await digest([
      rows,
      test ?? null,
      classes,
      maxTokens,
      seed,
      parts.validation.length,
      parts.report.length,
    ]),
    described,
  };
}

function neededTokens(rows: readonly TextRow[], tokenizer: TextTokenizer): number {
  const step = Math.max(1, Math.floor(rows.length / SAMPLE));
  const lengths = rows
    .filter((_, row) => row % step === 0)
    .map(
      ({ text, pair }) => (pair === undefined ? tokenizer.encode(text) : tokenizer.encodePair(text, pair).ids).length,
    )
    .sort((a, b) => a - b);
  const needed = lengths[Math.min(lengths.length - 1, Math.floor(0.99 * lengths.length))]!;
  return Math.min(MOST_TOKENS, MULTIPLE * Math.ceil(needed / MULTIPLE));
}

function splitRows(rows: readonly TextRow[], options: TextTaskOptions) {
  const groups = new Map<string, TextRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.text.trim(), row.pair?.trim()]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const texts = [...groups.values()];
  const sizes = partSizes(texts.length, { ...options, reportGiven: options.test !== undefined });
  const order = shuffledIndices(texts.length, new SeededRandom(deriveSeed(options.seed ?? 0, 5)));
  const take = (from: number, to: number) =>
    Array.from(order.subarray(from, to).sort(), (index) => texts[index]!).flat();
  const { validation, report } = sizes;
  return {
    validation: take(0, validation),
    report: take(validation, validation + report),
    train: take(validation + report, texts.length),
  };
}
