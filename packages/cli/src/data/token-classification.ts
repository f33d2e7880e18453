// Sentences of tagged words as the data of a task: names of tags, a length that most sentences need, parts that share no sentence.
import type { TextTokenizer } from '@hip/checkpoints';
import { labelCountOf, subset, tokenClassification, type Dataset } from '@instatune/supernet';
import { TuneError } from '../errors.ts';
import { labelIndices } from './classes.ts';
import { digest } from './digest.ts';
import { LENGTH_MULTIPLE, neededTokens } from './lengths.ts';
import { splitRows, type PartOptions } from './parts.ts';
import { areSpanTags, tagNames } from './tags.ts';
import type { TaskData } from './task.ts';

/** A sentence: its words, with a tag each. */
export interface TaggedRow {
  readonly tokens: readonly string[];
  readonly tags: readonly string[];
  /** Where it stands, for messages. @defaultValue its number */
  readonly place?: string;
}

/** Options of {@link tokenTask}. */
export interface TokenTaskOptions extends PartOptions {
  /** Sentences of a test set. @defaultValue a part of the rows is kept back */
  readonly test?: readonly TaggedRow[] | undefined;
  /** Names of tags in order, where the rows number them. @defaultValue the checkpoint's, where they fit, else what occurs */
  readonly tagNames?: readonly string[] | undefined;
  /** Tag names of the checkpoint. @defaultValue none */
  readonly knownClasses?: readonly string[] | undefined;
  /** Tokens of a sentence at most. @defaultValue what 99 % of the sentences need, at most 128 */
  readonly maxTokens?: number | undefined;
}

/**
 * Data of a token classification task (named entities, parts of speech). A word's tag is that of its first token, the others do not count.
 * Equal sentences are in the same part; `described` says how many are longer than `maxTokens`.
 *
 * @throws TuneError `invalid-data` naming the sentence, `invalid-option`; SupernetError `invalid-data`
 *
 * @example
 * ```ts
 * const rows = [{ tokens: ['Ishmael', 'sails'], tags: ['B-PER', 'O'] }]; // some hundreds
 * const data = await tokenTask(rows, tokenizer, { seed: 1 });
 * ```
 */
export async function tokenTask(
  rows: readonly TaggedRow[],
  tokenizer: TextTokenizer,
  options: TokenTaskOptions = {},
): Promise<TaskData> {
  const { test, knownClasses: known, tagNames: given, seed = 0 } = options;
  requireTagged(rows);
  if (test) requireTagged(test);
  const classes = tagNames(rows, { given, known });
  const all = [...rows, ...(test ?? [])];
  const labelled = all.map(({ tokens, tags, place }, row) => ({
    tokens,
    labels: labelIndices(tags, classes, (at) => `${place ?? `sentence ${row + 1}`}, word ${at + 1}`),
  }));
  const encoded = (most: number) =>
    tokenClassification(labelled, tokenizer, { maxTokens: most, padToMultipleOf: LENGTH_MULTIPLE });
  const whole = encoded(Number.MAX_SAFE_INTEGER);
  const lengths = all.map((_, row) => whole.tokens!(row));
  const maxTokens = options.maxTokens ?? neededTokens(lengths.slice(0, rows.length));
  const kept = encoded(maxTokens);
  const parts = splitRows([...rows.keys()], (row) => JSON.stringify(rows[row]!.tokens), {
    ...options,
    reportGiven: test !== undefined,
  });
  const tested = test ? test.map((_, row) => rows.length + row) : parts.report;
  const [train, validation, report] = [subset(kept, parts.train), subset(kept, parts.validation), subset(kept, tested)];
  const cut = await cutOf(whole, kept, lengths, maxTokens);
  const kind = areSpanTags(classes) ? `${spanTypes(classes).length} kinds of spans` : `${classes.length} tags`;
  return {
    task: 'token-classification',
    problem: 'single_label_classification',
    train,
    validation,
    report,
    classes,
    tokens: maxTokens,
    fingerprint: await digest([
      rows.map(({ tokens, tags }) => [tokens, tags]),
      test?.map(({ tokens, tags }) => [tokens, tags]) ?? null,
      classes,
      maxTokens,
      seed,
      validation.length,
      report.length,
    ]),
    described: `${train.length} sentences to train on, ${validation.length} to search by, ${report.length} ${test ? 'of the test set' : 'kept back'} to report; at most ${maxTokens} tokens${cut}; ${kind}`,
  };
}

/** @throws TuneError `invalid-data` */
function requireTagged(rows: readonly TaggedRow[]): void {
  if (rows.length === 0) throw new TuneError('invalid-data', 'there are no sentences', {});
  for (const [row, { tokens, tags, place = `sentence ${row + 1}` }] of rows.entries())
    if (tokens.length === 0 || tokens.length !== tags.length)
      throw new TuneError(
        'invalid-data',
        `${place} has ${tokens.length} words and ${tags.length} tags: give every word a tag`,
        { place, words: tokens.length, tags: tags.length },
      );
}

const spanTypes = (classes: readonly string[]): readonly string[] => [
  ...new Set(classes.filter((name) => name !== 'O').map((name) => name.slice(2))),
];

/** What is lost of sentences that are too long, in words. */
async function cutOf(whole: Dataset, kept: Dataset, lengths: readonly number[], maxTokens: number): Promise<string> {
  const long = lengths.flatMap((length, row) => (length > maxTokens ? [row] : []));
  if (long.length === 0) return '';
  let words = 0;
  for (const row of long) words += labelCountOf(await whole.batch([row])) - labelCountOf(await kept.batch([row]));
  return ` (${long.length} of ${lengths.length} sentences are longer and cut: ${words} words do not count)`;
}
