// Labelled texts as a dataset: tokenised once, padded to the longest of a batch.
import { SupernetError } from '../errors.ts';
import { CheckpointError, type TextTokenizer, type Truncation } from '@hip/checkpoints';
import type { Dataset, HostBatch } from './dataset.ts';
import type { LabelledText } from './delimited.ts';

/** Options of {@link textClassification}. */
export interface TextClassificationOptions {
  /** Tokens kept of an example, special tokens included. @defaultValue 128 */
  readonly maxTokens?: number | undefined;
  /**
   * Which text of a pair is cut, as in transformers; of a single text it is the end. With `do_not_truncate` examples may have more than
   * `maxTokens`.
   *
   * @defaultValue 'longest_first'
   */
  readonly truncation?: Truncation | undefined;
  /** Id of the padding token. @defaultValue the tokenizer's `[PAD]` or `<pad>`, else 0 */
  readonly padTokenId?: number | undefined;
  /** Pad every example to `maxTokens`: fixed shapes cost time on the CPU and save pipelines on a GPU. @defaultValue false */
  readonly fixedLength?: boolean | undefined;
  /** Lengths are rounded up to a multiple, for fewer distinct shapes. @defaultValue 1 */
  readonly padToMultipleOf?: number | undefined;
}

/**
 * Texts without labels, for what learns from a teacher alone (sentence encoders).
 *
 * @throws SupernetError as {@link textClassification}
 */
export function textDataset(
  texts: readonly string[],
  tokenizer: TextTokenizer,
  options: TextClassificationOptions = {},
): Dataset {
  return textClassification(
    texts.map((text) => ({ text, label: 0 })),
    tokenizer,
    options,
  );
}

interface Encoded {
  readonly ids: Int32Array;
  readonly typeIds?: Int32Array;
  readonly label: number;
  readonly values?: readonly number[] | undefined;
}

/**
 * A dataset of texts or pairs of texts with classes, any number of classes, or values (rows with `values`; all of them or none).
 *
 * @throws SupernetError `invalid-data` for an empty list, a text without tokens or a pair of which one would be lost, `invalid-option`
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises';
 *
 * const rows = await parseLabelledTexts(await readFile('train.tsv', 'utf8'));
 * const train = textClassification(rows, tokenizer, { maxTokens: 64 });
 * ```
 */
export function textClassification(
  rows: readonly LabelledText[],
  tokenizer: TextTokenizer,
  options: TextClassificationOptions = {},
): Dataset {
  const { maxTokens = 128 } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 3) {
    throw new SupernetError('invalid-option', `maxTokens = ${maxTokens}: expected an integer ≥ 3`, { maxTokens });
  }
  if (rows.length === 0) throw new SupernetError('invalid-data', 'no labelled texts');
  const outputs = rows[0]?.values?.length;
  for (const [index, { values }] of rows.entries()) {
    if (values?.length === outputs) continue;
    const message = `row ${index} has ${values?.length ?? 'no'} values, the first row ${outputs ?? 'none'}: all rows have as many`;
    throw new SupernetError('invalid-data', message, { index, values: values?.length, outputs });
  }
  const encoded = rows.map((row, index) =>
    encodeRow(row, index, tokenizer, { maxTokens, truncation: options.truncation }),
  );
  const pad = paddingId(tokenizer, options);
  const padded = paddedLength(options);
  return {
    length: encoded.length,
    tokens: (index) => Math.max(options.fixedLength ? maxTokens : 1, encoded[index]?.ids.length ?? 1),
    batch: (indices) =>
      collate(
        indices.map((index) => at(encoded, index)),
        padded,
        pad,
      ),
  };
}

/** Id of the padding token. */
export function paddingId(tokenizer: TextTokenizer, options: Pick<TextClassificationOptions, 'padTokenId'>): number {
  return options.padTokenId ?? tokenizer.tokenId('[PAD]') ?? tokenizer.tokenId('<pad>') ?? 0;
}

/** Length of a batch by its longest example. */
export function paddedLength(options: TextClassificationOptions): (longest: number) => number {
  const { maxTokens = 128, padToMultipleOf: multiple = 1, fixedLength = false } = options;
  return (longest) => {
    if (longest > maxTokens) return longest;
    return fixedLength ? maxTokens : Math.min(maxTokens, Math.ceil(longest / multiple) * multiple);
  };
}

interface Cut {
  readonly maxTokens: number;
  readonly truncation: Truncation | undefined;
}

function encodeRow(row: LabelledText, index: number, tokenizer: TextTokenizer, cut: Cut): Encoded {
  const { ids, typeIds } = tokensOf(row, index, tokenizer, cut);
  if (ids.length === 0)
    throw new SupernetError('invalid-data', `row ${index} has no tokens`, { index, text: row.text });
  return {
    ids: Int32Array.from(ids),
    ...(typeIds && { typeIds: Int32Array.from(typeIds) }),
    label: row.label,
    values: row.values,
  };
}

function tokensOf(
  row: LabelledText,
  index: number,
  tokenizer: TextTokenizer,
  { maxTokens, truncation }: Cut,
): { readonly ids: readonly number[]; readonly typeIds?: readonly number[] } {
  // A single text has no other to be cut instead.
  const limit = truncation === 'do_not_truncate' ? undefined : maxTokens;
  if (row.pair === undefined) {
    const ids = tokenizer.encode(row.text, { maxTokens: limit });
    // A tokenizer of the caller's own may not know the option: the last token is then taken for a closing one.
    return { ids: limit && ids.length > limit ? [...ids.slice(0, limit - 1), ids.at(-1) as number] : ids };
  }
  try {
    const encoded = tokenizer.encodePair(row.text, row.pair, { maxTokens: limit, truncation });
    if (!limit || encoded.ids.length <= limit) return encoded;
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new SupernetError('invalid-data', `row ${index}: ${cause.message}`, { ...cause.details, index }, { cause });
  }
  const message = `row ${index}: encodePair gave more than the ${maxTokens} tokens asked for, and cutting them would lose the second text: let it read maxTokens and truncation`;
  throw new SupernetError('invalid-data', message, { index, maxTokens });
}

function at(encoded: readonly Encoded[], index: number): Encoded {
  const example = encoded[index];
  if (!example) throw new SupernetError('invalid-data', `example ${index} of ${encoded.length}`, { index });
  return example;
}

function collate(examples: readonly Encoded[], padded: (longest: number) => number, pad: number): HostBatch {
  const length = padded(Math.max(...examples.map((example) => example.ids.length)));
  const shape = [examples.length, length] as const;
  const size = examples.length * length;
  const ids = new Int32Array(size).fill(pad);
  const mask = new Int32Array(size);
  const types = new Int32Array(size);
  for (const [row, example] of examples.entries()) {
    ids.set(example.ids, row * length);
    mask.fill(1, row * length, row * length + example.ids.length);
    if (example.typeIds) types.set(example.typeIds, row * length);
  }
  return {
    size: examples.length,
    inputIds: { shape, data: ids },
    // All ones says nothing: without a mask attention needs no masking pass.
    ...(mask.includes(0) && { attentionMask: { shape, data: mask } }),
    ...(examples.some((example) => example.typeIds) && { tokenTypeIds: { shape, data: types } }),
    labels: Int32Array.from(examples, (example) => example.label),
    ...valuesOf(examples.map((example) => example.values)),
  };
}

/** Values of examples as an array [rows, outputs]; nothing where they have none. */
export function valuesOf(rows: readonly (readonly number[] | undefined)[]): Pick<HostBatch, 'values'> {
  const width = rows[0]?.length;
  if (width === undefined) return {};
  const data = Float32Array.from(rows.flatMap((row) => row ?? []));
  return { values: { shape: [rows.length, width], data } };
}
