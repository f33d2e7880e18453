// Which tokens of a vocabulary a corpus uses.
import type { TextTokenizer } from '@hip/checkpoints';
import { positiveInteger } from '../counts.ts';
import { SupernetError } from '../errors.ts';

/** Which tokens a corpus uses. */
export interface VocabularyReport {
  /** Tokens of the vocabulary. */
  readonly size: number;
  /** How often the corpus has each token [size]. */
  readonly counts: Float64Array;
  /** Ids that the corpus uses, ascending. */
  readonly used: readonly number[];
  /** Ids that it never uses, ascending. */
  readonly unused: readonly number[];
  /** Tokens of the corpus in all. */
  readonly tokens: number;
}

/**
 * Counts the tokens of a corpus.
 *
 * @param size - tokens of the model's vocabulary (`model.config.vocabSize`)
 * @throws SupernetError `invalid-option` for a size that is no count, `invalid-data` when the tokenizer gives an id beyond it
 *
 * @example
 * ```ts
 * import { reportVocabulary } from '@instatune/supernet';
 *
 * const { used, unused } = reportVocabulary(tokenizer, ['It was a dark and stormy night'], model.config.vocabSize);
 * console.log(used.length + unused.length === model.config.vocabSize); // => true
 * ```
 */
export function reportVocabulary(tokenizer: TextTokenizer, texts: readonly string[], size: number): VocabularyReport {
  const counts = new Float64Array(positiveInteger('size', size));
  for (const [text, content] of texts.entries()) {
    for (const id of tokenizer.encode(content)) {
      if (id >= size) {
        const message = `text ${text} has token ${id}, the model's vocabulary ${size}: give the model's own tokenizer`;
        throw new SupernetError('invalid-data', message, { text, id, size });
      }
      counts[id]! += 1;
    }
  }
  const ids = Array.from(counts, (_, id) => id);
  const used = ids.filter((id) => counts[id]! > 0);
  const unused = ids.filter((id) => counts[id] === 0);
  return { size, counts, used, unused, tokens: counts.reduce((sum, count) => sum + count, 0) };
}
