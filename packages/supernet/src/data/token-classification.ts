// Words with tags as a dataset: a word's first token has its label, the others none, as transformers' own scripts have it.
import type { TextTokenizer } from '@hip/checkpoints';
import { SupernetError } from '../errors.ts';
import type { Dataset, HostBatch } from './dataset.ts';
import { paddedLength, paddingId } from './text-classification.ts';
import type { TextClassificationOptions } from './text-classification.ts';

/** The words of a text, with a class index each (−1: does not count). */
export interface TaggedText {
  readonly tokens: readonly string[];
  readonly labels: readonly number[];
}

/** Options of {@link tokenClassification}. */
export interface TokenClassificationOptions extends Omit<TextClassificationOptions, 'truncation'> {
  /** Whether every token of a word has its label, not only the first. @defaultValue false */
  readonly labelAllTokens?: boolean | undefined;
}

interface Encoded {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

/**
 * A dataset of tagged words. Words are tokenised one by one, as in the middle of a text; what goes beyond `maxTokens` is cut.
 *
 * @throws SupernetError `invalid-data` for an empty list, a text without tokens, labels that are not as many as words; `invalid-option`
 *
 * @example
 * ```ts
 * import { loadTokenizer, folderFiles } from '@hip/checkpoints';
 * import { tokenClassification } from '@instatune/supernet';
 *
 * const tokenizer = await loadTokenizer(folderFiles('./bert-mini'));
 * const data = tokenClassification([{ tokens: ['Ishmael', 'sails'], labels: [1, 0] }], tokenizer!);
 * const { labels } = await data.batch([0]);
 * console.log(labels.join()); // => -1,1,-1,-1,-1,0,-1,-1
 * ```
 */
export function tokenClassification(
  rows: readonly TaggedText[],
  tokenizer: TextTokenizer,
  options: TokenClassificationOptions = {},
): Dataset {
  const { maxTokens = 128, labelAllTokens = false } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 3) {
    throw new SupernetError('invalid-option', `maxTokens = ${maxTokens}: expected an integer ≥ 3`, { maxTokens });
  }
  if (rows.length === 0) throw new SupernetError('invalid-data', 'no tagged texts');
  const encodeWord = wordEncoder(tokenizer);
  const frame = frameOf(tokenizer);
  const encoded = rows.map(({ tokens, labels }, index): Encoded => {
    if (tokens.length !== labels.length) {
      const message = `row ${index}: ${labels.length} labels for ${tokens.length} words`;
      throw new SupernetError('invalid-data', message, { index, labels: labels.length, words: tokens.length });
    }
    const ids: number[] = [];
    const own: number[] = [];
    for (const [at, word] of tokens.entries()) {
      const label = labels[at] as number;
      for (const [part, id] of encodeWord(word).entries()) {
        ids.push(id);
        own.push(part === 0 || labelAllTokens ? label : -1);
      }
    }
    if (ids.length === 0) throw new SupernetError('invalid-data', `row ${index} has no tokens`, { index });
    const room = maxTokens - frame.before.length - frame.after.length;
    const none = (part: readonly number[]) => part.map(() => -1);
    return {
      ids: Int32Array.from([...frame.before, ...ids.slice(0, room), ...frame.after]),
      labels: Int32Array.from([...none(frame.before), ...own.slice(0, room), ...none(frame.after)]),
    };
  });
  const [pad, padded] = [paddingId(tokenizer, options), paddedLength(options)];
  const at = (index: number): Encoded => {
    const found = encoded[index];
    if (found) return found;
    throw new SupernetError('invalid-data', `example ${index} of ${encoded.length}`, { index });
  };
  return {
    length: encoded.length,
    tokens: (index) => (options.fixedLength ? maxTokens : at(index).ids.length),
    batch: (indices): HostBatch => {
      const examples = indices.map(at);
      const length = padded(Math.max(...examples.map(({ ids }) => ids.length)));
      const shape = [examples.length, length] as const;
      const ids = new Int32Array(examples.length * length).fill(pad);
      const mask = new Int32Array(ids.length);
      const labels = new Int32Array(ids.length).fill(-1);
      for (const [row, example] of examples.entries()) {
        ids.set(example.ids, row * length);
        labels.set(example.labels, row * length);
        mask.fill(1, row * length, row * length + example.ids.length);
      }
      return {
        size: examples.length,
        inputIds: { shape, data: ids },
        ...(mask.includes(0) && { attentionMask: { shape, data: mask } }),
        labels,
      };
    },
  };
}

/** Tokens of a word as in the middle of a text: a space goes before it where that makes it another, and no more, tokens. */
function wordEncoder(tokenizer: TextTokenizer): (word: string) => readonly number[] {
  const plain = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const isOfSpace = plain(' a').length <= plain('a').length;
  // A corpus is the same words over and over.
  const known = new Map<string, readonly number[]>();
  return (word) => {
    const ids = known.get(word) ?? plain(isOfSpace ? ` ${word}` : word);
    known.set(word, ids);
    return ids;
  };
}

/** Special tokens before and after a text. */
function frameOf(tokenizer: TextTokenizer): { readonly before: readonly number[]; readonly after: readonly number[] } {
  const [probe] = ['a', '1', '.'].flatMap((text) => {
    const bare = tokenizer.encode(text, { addSpecialTokens: false });
    const whole = tokenizer.encode(text);
    const start = whole.findIndex((_, at) => bare.length > 0 && bare.every((id, i) => whole[at + i] === id));
    return start < 0 ? [] : [{ before: whole.slice(0, start), after: whole.slice(start + bare.length) }];
  });
  return probe ?? { before: [], after: [] };
}
