// What is put in order, and by what.
import type * as tf from '@tensorflow/tfjs';
import type { ModelInputs } from '../model/types.ts';

/** Options of {@link reorderByImportance}. */
export interface ReorderOptions {
  /**
   * How importance is measured:
   * - `activation`: Σ over calibration tokens of (input of the output projection)² · ‖its row‖², the energy a head or unit adds to the
   *   residual stream (diagonal form, as Wanda, Sun 2023); of a channel its mean absolute value after each norm, summed over the norms
   *   (Muralidharan 2024). Needs `batches`; forward passes only.
   * - `taylor`: Σ over losses of (Σ w·∂loss/∂w)², the squared first-order change when a head or unit, or a channel of all norms, is
   *   removed (Michel 2019, Molchanov 2019). Needs `losses`, many small ones.
   * - `magnitude`: weights only. Cheap, and often worse than no reordering on trained models.
   */
  readonly criterion: 'activation' | 'taylor' | 'magnitude';
  /**
   * What is reordered. `hidden`, the channels of the residual stream, is what hidden states are made of: those of a model without a
   * head come out in the new order (lengths, angles and distances between them stay).
   *
   * @defaultValue ['heads', 'ffn']
   */
  readonly axes?: readonly ReorderAxis[] | undefined;
  /** Calibration inputs (training data, not the data that is reported). */
  readonly batches?: readonly ModelInputs[] | undefined;
  /** Losses of calibration batches, each a function that runs the model. */
  readonly losses?: readonly (() => tf.Scalar)[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** What {@link reorderByImportance} can reorder: key/value groups and the query heads in each, FFN units, channels. */
export type ReorderAxis = (typeof REORDER_AXES)[number];

export const REORDER_AXES = ['heads', 'ffn', 'hidden'] as const;
