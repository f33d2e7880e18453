// Labelled texts as a dataset: tokenised once, padded to the longest of a batch.
import { SupernetError } from '../errors.ts';
import type { TextTokenizer } from '@hip/checkpoints';
import type { Dataset, HostBatch } from './dataset.ts';
import type { LabelledText } from './delimited.ts';

/** Options of {@link textClassification}. */
export interface TextClassificationOptions {
  /** Tokens kept of an example, special tokens included; the end of the text is cut. @defaultValue 128 */
  readonly maxTokens?: number | undefined;
  /** Id of the padding token. @defaultValue the tokenizer's `[PAD]` or `<pad>`, else 0 */
  readonly padTokenId?: number | undefined;
  /** Pad every example to `maxTokens`: fixed shapes cost time on the CPU and save pipelines on a GPU. @defaultValue false */
  readonly fixedLength?: boolean | undefined;
  /** Lengths are rounded up to a multiple, for fewer distinct shapes. @defaultValue 1 */
  readonly padToMultipleOf?: number | undefined;
}

interface Encoded {
  readonly ids: Int32Array;
  readonly typeIds?: Int32Array;
  readonly label: number;
}

/**
 * A classification dataset.
 *
 * @throws SupernetError `invalid-data` for an empty list or a text without tokens, `invalid-option`
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
  const encoded = rows.map((row, index) => encodeRow(row, index, tokenizer, maxTokens));
  const pad = options.padTokenId ?? tokenizer.tokenId('[PAD]') ?? tokenizer.tokenId('<pad>') ?? 0;
  const multiple = options.padToMultipleOf ?? 1;
  const padded = (longest: number): number =>
    options.fixedLength ? maxTokens : Math.min(maxTokens, Math.ceil(longest / multiple) * multiple);
  return {
    length: encoded.length,
    tokens: (index) => (options.fixedLength ? maxTokens : (encoded[index]?.ids.length ?? 1)),
    batch: (indices) =>
      collate(
        indices.map((index) => at(encoded, index)),
        padded,
        pad,
      ),
  };
}

function encodeRow(row: LabelledText, index: number, tokenizer: TextTokenizer, maxTokens: number): Encoded {
  const pair = row.pair === undefined ? undefined : tokenizer.encodePair(row.text, row.pair);
  const ids = pair?.ids ?? tokenizer.encode(row.text);
  if (ids.length === 0)
    throw new SupernetError('invalid-data', `row ${index} has no tokens`, { index, text: row.text });
  return {
    ids: truncate(ids, maxTokens),
    ...(pair && { typeIds: truncate(pair.typeIds, maxTokens) }),
    label: row.label,
  };
}

/** Cuts the end, keeping the last token (the closing special token of BERT-like tokenizers). */
function truncate(ids: readonly number[], maxTokens: number): Int32Array {
  if (ids.length <= maxTokens) return Int32Array.from(ids);
  return Int32Array.from([...ids.slice(0, maxTokens - 1), ids.at(-1) as number]);
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
  };
}
