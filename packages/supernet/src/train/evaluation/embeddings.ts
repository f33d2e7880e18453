// How like another's the embeddings of a sentence encoder are: no labels, only texts.
import * as tf from '@tensorflow/tfjs';
import { positiveInteger } from '../../counts.ts';
import { disposeInputs, inputTensors } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { sequentialBatches } from '../../data/loader.ts';
import type { SubnetConfig } from '../../elastic/types.ts';
import { SupernetError, throwIfAborted } from '../../errors.ts';
import { checkBatchIds } from '../../model/input-checks.ts';
import type { AttentionFunction, ElasticModel } from '../../model/types.ts';
import { inPrecision } from '../../model/precision.ts';
import type { Precision } from '../../model/precision.ts';
import { correlationOf, ranksOfFloats } from './ranks.ts';

/** Options of {@link embed}. */
export interface EmbedOptions {
  /** @defaultValue the full model */
  readonly subnet?: SubnetConfig | undefined;
  /** @defaultValue 8 */
  readonly batchSize?: number | undefined;
  readonly attention?: AttentionFunction | undefined;
  /** `mixed` as in fine-tuning: faster, and rounded to float16 in between. @defaultValue 'float32' */
  readonly precision?: Precision | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly examples: number; readonly total: number }) => void) | undefined;
}

/** Options of {@link compareEmbeddings}. */
export interface CompareOptions extends EmbedOptions {
  /** What they are compared with: a model, or what {@link embed} gave for the same texts. @defaultValue the full model */
  readonly reference?: ElasticModel | Float32Array | undefined;
  /** Nearest texts that are looked at. @defaultValue 10 */
  readonly neighbours?: number | undefined;
}

/** Result of {@link compareEmbeddings}. */
export interface EmbeddingComparison {
  /** Mean cosine of a text's embedding and the reference's; NaN where they have unlike sizes. */
  readonly cosine: number;
  /** Rank correlation of the similarities of all pairs of texts (Spearman). */
  readonly spearman: number;
  /** Mean share of a text's nearest texts that are among the reference's. */
  readonly overlap: number;
  readonly count: number;
}

/**
 * Embeddings of all texts of a dataset, as unit vectors, row after row.
 *
 * @throws SupernetError `unsupported-model` for a model that is no sentence encoder, `non-finite`, `invalid-option`, `aborted`
 */
export async function embed(model: ElasticModel, dataset: Dataset, options: EmbedOptions = {}): Promise<Float32Array> {
  const { subnet, batchSize = 8, attention, precision, signal } = options;
  positiveInteger('batchSize', batchSize);
  const { head, hiddenSize, family } = model.config;
  if (head !== 'sentence-embedding') {
    const message = `a ${family} model with head ${head} is no sentence encoder: load one with sentence-transformers' modules.json`;
    throw new SupernetError('unsupported-model', message, { family, head });
  }
  const all = new Float32Array(dataset.length * hiddenSize);
  let examples = 0;
  for await (const batch of sequentialBatches(dataset, batchSize)) {
    throwIfAborted(signal, 'embedding');
    checkBatchIds(model.config, batch);
    const inputs = inputTensors(batch);
    const how = { ...(subnet && { subnet }), ...(attention && { attention }) };
    const { logits } = inPrecision(precision, () => model.forward(inputs, how));
    disposeInputs(inputs);
    const values = (await logits.data()) as Float32Array;
    logits.dispose();
    for (let row = 0; row < batch.size; row++) {
      const own = values.subarray(row * hiddenSize, (row + 1) * hiddenSize);
      const length = Math.hypot(...own);
      if (!Number.isFinite(length)) {
        const example = examples + row;
        throw new SupernetError('non-finite', `the embedding of example ${example} is not finite`, { example });
      }
      all.set(
        own.map((value) => value / Math.max(length, 1e-12)),
        (examples + row) * hiddenSize,
      );
    }
    examples += batch.size;
    options.onProgress?.({ examples, total: dataset.length });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return all;
}

/**
 * Compares a sub-network's embeddings with the full model's, or another's, over all pairs of texts.
 *
 * @throws SupernetError as {@link embed}; `invalid-data` for fewer than three texts, or a reference of other texts
 *
 * @example
 * ```ts
 * import { compareEmbeddings, fullSubnet, loadCheckpoint, setUpTfjs, textDataset } from '@instatune/supernet';
 *
 * await setUpTfjs({ backends: ['wasm', 'cpu'] });
 * const { model, tokenizer } = await loadCheckpoint('./minilm-l6', { space: { layers: [5, 6] } });
 * const texts = textDataset(['The whale rose.', 'A big animal came up.', 'Rates were left unchanged.'], tokenizer!);
 * const { spearman } = await compareEmbeddings(model, texts, { subnet: { ...fullSubnet(model.space), layers: 6 }, neighbours: 1 });
 * console.log(spearman.toFixed(2)); // => 1.00
 * ```
 */
export async function compareEmbeddings(
  model: ElasticModel,
  dataset: Dataset,
  options: CompareOptions = {},
): Promise<EmbeddingComparison> {
  const { reference = model, neighbours = 10, subnet, ...rest } = options;
  positiveInteger('neighbours', neighbours);
  const count = dataset.length;
  if (count < 3) throw new SupernetError('invalid-data', `${count} texts: expected three at least`, { count });
  const theirs = reference instanceof Float32Array ? reference : await embed(reference, dataset, rest);
  const own = await embed(model, dataset, { ...rest, subnet });
  if (theirs.length === 0 || theirs.length % count !== 0) {
    const message = `the reference has ${theirs.length} numbers: expected embeddings of the same ${count} texts`;
    throw new SupernetError('invalid-data', message, { numbers: theirs.length, count });
  }
  const [a, b] = [await similarities(own, count), await similarities(theirs, count)];
  let cosine = Number.NaN;
  if (theirs.length === own.length) {
    cosine = 0;
    for (let i = 0; i < own.length; i++) cosine += (own[i] as number) * (theirs[i] as number);
    cosine /= count;
  }
  const near = Math.min(neighbours, count - 1);
  let shared = 0;
  for (let text = 0; text < count; text++) {
    const known = new Set(nearest(b, count, text, near));
    shared += nearest(a, count, text, near).filter((other) => known.has(other)).length;
  }
  const spearman = correlationOf(ranksOfFloats(pairsOf(a, count)), ranksOfFloats(pairsOf(b, count)));
  return { cosine, spearman, overlap: shared / (count * near), count };
}

/** Products of all rows [count, count]. */
async function similarities(rows: Float32Array, count: number): Promise<Float32Array> {
  const products = tf.tidy(() => {
    const x = tf.tensor2d(rows, [count, rows.length / count]);
    return tf.matMul(x, x, false, true);
  });
  const values = (await products.data()) as Float32Array;
  products.dispose();
  return values;
}

/** Similarities of pairs i < j. */
function pairsOf(all: Float32Array, count: number): Float32Array {
  const pairs = new Float32Array((count * (count - 1)) / 2);
  let at = 0;
  for (let i = 0; i < count; i++) for (let j = i + 1; j < count; j++) pairs[at++] = all[i * count + j] as number;
  return pairs;
}

/** The texts most like one, the most like first; of equally like ones the first. */
function nearest(all: Float32Array, count: number, text: number, near: number): number[] {
  const likes = all.subarray(text * count, (text + 1) * count);
  const best: number[] = [];
  for (let other = 0; other < count; other++) {
    if (other === text) continue;
    const like = likes[other] as number;
    if (best.length === near && like <= (likes[best[near - 1] as number] as number)) continue;
    let at = best.length === near ? near - 1 : best.length;
    while (at > 0 && like > (likes[best[at - 1] as number] as number)) {
      best[at] = best[at - 1] as number;
      at--;
    }
    best[at] = other;
  }
  return best;
}
