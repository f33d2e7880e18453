// Low-rank adapters of a frozen network: which products have one, of which rank, and their weights.
import type * as tf from '@tensorflow/tfjs';
import type { WeightSlot } from '@hip/checkpoints';

/** Products of a layer that an adapter may be on: of attention, then of the FFN (`gate` where it is gated). */
export const ADAPTER_TARGETS = ['query', 'key', 'value', 'output', 'gate', 'up', 'down'] as const;

/** One of the products that an adapter may be on. */
export type AdapterTarget = (typeof ADAPTER_TARGETS)[number];

/** One adapter: y = x·W + b becomes x·W + b + scale · (x·A)·B, A [in, rank], B [rank, out] (LoRA, Hu 2021, §4.1). */
export interface AdaptedProduct {
  /** `layers.0.attention.query`: the weight is the slot `….weight`. */
  readonly name: string;
  readonly layer: number;
  /** Columns of A; a sub-network of a smaller rank has the first of them. */
  readonly rank: number;
  /** α / rank, of every smaller rank too, so that all ranks share their columns. */
  readonly scale: number;
}

/** What there is to count of adapters, without their weights. */
export interface AdapterLayout {
  readonly products: readonly AdaptedProduct[];
  /** Slots of the base that have values of their own beside the adapters: a classifier's new head. */
  readonly replaced: readonly string[];
}

/** Adapters that a model disposes of, and what it has of its own in place of the base's. */
export interface OwnAdapters {
  readonly adapters: Adapters;
  readonly copies: readonly tf.Variable[];
}

/** The adapters of a model made by `addAdapters` or `loadAdapters`. */
export interface Adapters extends AdapterLayout {
  /** A and B of every product: `layers.0.attention.query.loraA` [in, rank], `….loraB` [rank, out]. */
  readonly slots: readonly WeightSlot[];
  readonly weights: ReadonlyMap<string, tf.Variable>;
}
