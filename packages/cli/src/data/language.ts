// Plain texts as the data of a language-modelling task: windows of tokens, parts that share none.
import type { TextTokenizer } from '@hip/checkpoints';
import { encodeTexts, splitText, subset, textWindows, type Dataset } from '@instatune/supernet';
import { TuneError } from '../errors.ts';
import { digest } from './digest.ts';
import type { PartOptions } from './parts.ts';
import type { TaskData } from './task.ts';

/** Options of {@link languageTask}; parts are shares of the text. */
export interface LanguageTaskOptions extends PartOptions {
  /** Texts of a test set. @defaultValue a part of the text is kept back */
  readonly test?: readonly string[] | undefined;
  /** Tokens of a window. @defaultValue 128 */
  readonly maxTokens?: number | undefined;
  /** Token that closes each text. @defaultValue none */
  readonly separator?: number | undefined;
}

/** Windows that a search looks at: its measurements stay cheap, and the pages varied. */
const MOST_WINDOWS = 256;

/**
 * Data of a language-modelling task.
 *
 * @throws TuneError `invalid-data`, `invalid-option`; SupernetError `invalid-data` where the text is too short
 */
export async function languageTask(
  texts: readonly string[],
  tokenizer: TextTokenizer,
  options: LanguageTaskOptions = {},
): Promise<TaskData> {
  const { test, maxTokens: length = 128, separator, seed = 0, validation = 0.1 } = options;
  const report = test ? 0 : (options.report ?? 0.1);
  for (const [name, share] of Object.entries({ validation, report }))
    if (!(share >= 0 && share < 1))
      throw new TuneError('invalid-option', `${name} is ${share}: of a text it is a share between 0 and 1`, { share });
  if (texts.every((text) => text.trim() === '')) throw new TuneError('invalid-data', 'the text is empty');
  const splits = splitText(encodeTexts(tokenizer, texts, separator), { length, validation, report, seed });
  const tested = test ? textWindows(encodeTexts(tokenizer, test, separator), { length }) : splits.report;
  const searched = spread(splits.validation, MOST_WINDOWS);
  return {
    task: 'language-modelling',
    problem: 'single_label_classification',
    train: splits.train,
    validation: searched,
    report: tested,
    classes: [],
    tokens: length,
    fingerprint: await digest([texts, test ?? null, length, separator ?? null, seed, validation, report]),
    described: `windows of ${length} tokens: ${splits.train.length} to train on, ${searched.length} to search by, ${tested.length} ${test ? 'of the test text' : 'kept back'} to report`,
  };
}

/** At most so many examples, evenly spread. */
export function spread(dataset: Dataset, most: number): Dataset {
  if (dataset.length <= most) return dataset;
  return subset(
    dataset,
    Array.from({ length: most }, (_, i) => Math.floor((i * dataset.length) / most)),
  );
}
