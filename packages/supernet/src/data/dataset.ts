// What training reads: a dataset hands out batches of host arrays for lists of example indices; tensors exist only during a step.
import * as tf from '@tensorflow/tfjs';
import type { ModelInputs } from '../model/types.ts';

/** A typed array with its shape. */
export interface HostArray<Data extends Int32Array | Float32Array> {
  readonly shape: readonly number[];
  readonly data: Data;
}

/** One batch in host memory. */
export interface HostBatch {
  /** Examples (sequences, images). */
  readonly size: number;
  /** Token ids [B, T]. */
  readonly inputIds?: HostArray<Int32Array>;
  /** 1 = real token, 0 = padding [B, T]; absent without padding. */
  readonly attentionMask?: HostArray<Int32Array>;
  /** Segment ids [B, T]. */
  readonly tokenTypeIds?: HostArray<Int32Array>;
  /** Normalised pixels [B, C, H, W]. */
  readonly pixelValues?: HostArray<Float32Array>;
  /**
   * One label per row of logits ([B·T] of language models and token classifiers, [B] of classifiers); −1 is ignored. Of image-text retrieval
   * two a pair [2B], both its place in the batch.
   */
  readonly labels: Int32Array;
  /** What outputs that are no single class should be [rows, outputs]: values (regression), or 0…1 a class. `labels` then only say which rows count. */
  readonly values?: HostArray<Float32Array>;
  /** Rows that are blends of two examples (mixup): the other example's label, and the share of the first one in 0…1. */
  readonly mixed?: { readonly labels: Int32Array; readonly share: Float32Array };
}

/** How a batch is to be made. */
export interface BatchContext {
  /** Augment (random crops, flips, dropped words). @defaultValue false */
  readonly training?: boolean;
  /** Seed of the augmentation of this batch. @defaultValue 0 */
  readonly seed?: number;
}

/** A finite set of examples with random access. */
export interface Dataset {
  readonly length: number;
  /** Reads examples by index. @throws SupernetError `invalid-data` */
  batch(indices: readonly number[], context?: BatchContext): HostBatch | Promise<HostBatch>;
  /** Tokens of one example, where they differ: lets the loader batch examples of like length. */
  tokens?(index: number): number;
}

/** Positions (tokens or patches… rows of work) of a batch, padding included: what throughput counts. */
export function batchTokens(batch: HostBatch): number {
  return batch.inputIds ? batch.inputIds.data.length : batch.size;
}

/** Labels that count. */
export function labelCountOf(batch: HostBatch): number {
  let count = 0;
  for (const label of batch.labels) if (label >= 0) count++;
  return count;
}

/** Input tensors of a batch. The caller disposes ({@link disposeInputs}). */
export function inputTensors(batch: HostBatch): ModelInputs {
  const int = (array: HostArray<Int32Array>) => tf.tensor2d(array.data, array.shape as [number, number], 'int32');
  const { inputIds, attentionMask, tokenTypeIds, pixelValues } = batch;
  return {
    ...(inputIds && { inputIds: int(inputIds) }),
    ...(attentionMask && { attentionMask: int(attentionMask) }),
    ...(tokenTypeIds && { tokenTypeIds: int(tokenTypeIds) }),
    ...(pixelValues && {
      pixelValues: tf.tensor4d(pixelValues.data, pixelValues.shape as [number, number, number, number]),
    }),
  };
}

/** Frees input tensors. */
export function disposeInputs(inputs: ModelInputs): void {
  for (const tensor of [inputs.inputIds, inputs.attentionMask, inputs.tokenTypeIds, inputs.pixelValues]) {
    tensor?.dispose();
  }
}

/** A view of some examples of a dataset. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  const at = (index: number) => indices[index] as number;
  return {
    length: indices.length,
    batch: (wanted, context) => dataset.batch(wanted.map(at), context),
    ...(dataset.tokens && { tokens: (index: number) => dataset.tokens?.(at(index)) ?? 1 }),
  };
}
