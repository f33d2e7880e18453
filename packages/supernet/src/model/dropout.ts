// Drop-out (Srivastava 2014) of states, attention's shares and what a classifier reads, each with a rate; drawn by a seed.
import * as tf from '@tensorflow/tfjs';
import { dropOnGpu } from '../webgpu/dropout.ts';
import { onWebGpu } from '../webgpu/tfjs-backend.ts';
import { customGradient } from './custom-gradient.ts';

/** Probabilities of drop-out by place, as configurations of BERT name them. A number alone is `hidden`. */
export interface DropoutRates {
  /** Of the embeddings and of what every attention and FFN adds (`hidden_dropout_prob`). @defaultValue 0 */
  readonly hidden?: number | undefined;
  /** Of the shares that attention gives to keys (`attention_probs_dropout_prob`). @defaultValue 0 */
  readonly attention?: number | undefined;
  /** Of what the last linear map of a classifier reads (`classifier_dropout`). @defaultValue 0 */
  readonly classifier?: number | undefined;
}

/** Every place's rate. */
export function dropoutRates(dropout: number | DropoutRates): Required<{ [Name in keyof DropoutRates]: number }> {
  const { hidden = 0, attention = 0, classifier = 0 } = typeof dropout === 'number' ? { hidden: dropout } : dropout;
  return { hidden, attention, classifier };
}

/** Zeroes each number of x with probability `rate` and divides the others by 1 − rate; the same seed draws the same places. No gradient. */
export function dropped<T extends tf.Tensor>(x: T, rate: number, seed: number): T {
  return onWebGpu() ? dropOnGpu(x, rate, seed) : (tf.dropout(x, rate, undefined, seed) as T);
}

/** {@link dropped} with its gradient, which goes through the same places. */
export function dropOut<T extends tf.Tensor>(x: T, rate: number, seed: number): T {
  return customGradient<[T], T>([x], ([input]) => ({
    value: dropped(input, rate, seed),
    gradFunc: (dy: T) => [dropped(dy, rate, seed)],
  }));
}
