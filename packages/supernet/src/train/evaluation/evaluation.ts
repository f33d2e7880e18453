// What an evaluation is asked for, and what it says.
import type { SubnetConfig } from '../../elastic/types.ts';
import type { AttentionFunction } from '../../model/types.ts';
import type { Metrics } from './metrics.ts';
import type { Precision } from '../../model/precision.ts';

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  /** @defaultValue the full model */
  readonly subnet?: SubnetConfig | undefined;
  /** Examples at once. @defaultValue 8 */
  readonly batchSize?: number | undefined;
  readonly attention?: AttentionFunction | undefined;
  /** `mixed` as in fine-tuning: faster, and rounded to float16 in between. @defaultValue 'float32' */
  readonly precision?: Precision | undefined;
  /** Return the numbers of every example, too: two models are compared best example by example. @defaultValue false */
  readonly perExample?: boolean | undefined;
  /** Also measure what the field reports of the model's problem ({@link Evaluation.metrics}). Not of language models. @defaultValue false */
  readonly metrics?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly examples: number; readonly total: number }) => void) | undefined;
}

/** Result of {@link evaluate}. */
export interface Evaluation {
  /** Mean cross-entropy per labelled row, nats; of regression the mean square. */
  readonly loss: number;
  /** Share of labelled rows whose label has the largest logit; of outputs of any number of classes the share that is right; of regression R². */
  readonly accuracy: number;
  /** Labelled rows: tokens of language models, examples of classifiers. */
  readonly count: number;
  /** With `perExample`. */
  readonly perExample?: ExampleScores;
  /**
   * With `metrics`: those of {@link classMetrics}, {@link multiLabelMetrics} (with `answerScore` of visual question answering),
   * {@link valueMetrics}, {@link spanMetrics} of token classification, {@link retrievalMetrics} over the whole dataset.
   */
  readonly metrics?: Metrics;
}

/** Scores of each example [dataset length], in the dataset's order; 0 where an example has no label. */
export interface ExampleScores {
  /** Mean cross-entropy of its labelled rows, nats. */
  readonly loss: Float64Array;
  /** Share of its labelled rows that are right; 0 of regression. */
  readonly accuracy: Float64Array;
  /** Its labelled rows. */
  readonly count: Int32Array;
}
