// What one forward pass carries from layer to layer.
import type * as tf from '@tensorflow/tfjs';
import type { RopeTables } from './rope.ts';
import type { Stream } from './stream.ts';
import type { AttentionFunction, ForwardOptions, KeyValueCache } from './types.ts';

/** State of one forward pass. */
export interface Pass {
  readonly options: ForwardOptions;
  readonly masked: boolean;
  readonly stream: Stream;
  readonly attention: AttentionFunction;
  readonly batch: number;
  readonly length: number;
  readonly mask: tf.Tensor2D | undefined;
  /** Tokens of images in front of those of texts, in a multiway model. */
  readonly split: number | undefined;
  readonly rope: RopeTables | undefined;
  /** Rotation of layers with a window. */
  readonly ropeLocal: RopeTables | undefined;
  readonly relative: RelativePass | undefined;
  readonly append: KeyValueCache['append'] | undefined;
}

/** Relative positions of one pass. */
export interface RelativePass {
  /** The rows that its tokens look at [R, D]. */
  readonly table: tf.Tensor2D;
  readonly places: { readonly ofQueries: tf.Tensor1D; readonly ofKeys: tf.Tensor1D };
}

/** Whether a sub-network is run at full width, what it leaves out zeroed. */
export function isMasked({ mode, subnet }: ForwardOptions): boolean {
  return mode === 'masked' && subnet !== undefined;
}
