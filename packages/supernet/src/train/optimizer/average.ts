// An exponential moving average of a model's weights, beside them while it is trained.
import * as tf from '@tensorflow/tfjs';
import { trainedWeights } from '../../adapters/trained.ts';
import { elementCount } from '../../counts.ts';
import { SupernetError } from '../../errors.ts';
import type { ElasticModel } from '../../model/types.ts';
import { WEIGHTS_AVERAGED_TOGETHER, averageInPlace } from '../../webgpu/average.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';

/**
 * Options of the average.
 *
 * @example
 * ```ts
 * const run = await fineTune(model, data, { steps: 2, batchSize: 2, learningRate: 1e-3, average: { decay: 0.999 } });
 * console.log(run.steps); // => 2
 * ```
 */
export interface AverageOptions {
  /**
   * Share of the average that stays in each step, 0 ≤ decay < 1; of step t (from 1) at most (1 + t)/(10 + t), so that a short run is
   * not an average of what it began with.
   */
  readonly decay: number;
}

/** a ← d·a + (1 − d)·w after every step, by weight: `update` after each, then `apply` gives the model the average. */
export class WeightAverage {
  readonly #weights: ReadonlyMap<string, tf.Variable>;
  readonly #decay: number;
  readonly #averages = new Map<string, tf.Variable>();

  /** Begins with the weights as they are. */
  constructor(model: ElasticModel, { decay }: AverageOptions) {
    this.#weights = trainedWeights(model);
    this.#decay = decay;
    for (const [name, weight] of this.#weights) {
      // A copy: optimisers change weights where they lie.
      const initial = tf.tidy(() => tf.mul(weight, 1));
      this.#averages.set(name, tf.variable(initial, false));
      initial.dispose();
    }
  }

  /** Takes in the weights after a step, counted from 1. */
  update(step: number): void {
    const keep = Math.min(this.#decay, (1 + step) / (10 + step));
    const pairs = this.#pairs();
    if (onWebGpu()) {
      const share = tf.tensor1d([keep]);
      for (let start = 0; start < pairs.length; start += WEIGHTS_AVERAGED_TOGETHER)
        averageInPlace(pairs.slice(start, start + WEIGHTS_AVERAGED_TOGETHER), share);
      share.dispose();
      return;
    }
    for (const { average, weight } of pairs)
      tf.tidy(() => average.assign(tf.add(tf.mul(average, keep), tf.mul(weight, 1 - keep))));
  }

  /** Gives the model the average in place of its weights. */
  apply(): void {
    for (const { average, weight } of this.#pairs()) tf.tidy(() => weight.assign(tf.mul(average, 1)));
  }

  /** The average by weight name. */
  async state(): Promise<Map<string, Float32Array>> {
    const state = new Map<string, Float32Array>();
    for (const [name, average] of this.#averages) state.set(name, (await average.data()) as Float32Array);
    return state;
  }

  /** Replaces the average. @throws SupernetError `invalid-checkpoint` when it does not fit the model */
  restore(state: ReadonlyMap<string, Float32Array>): void {
    for (const [name, average] of this.#averages) {
      const data = state.get(name);
      if (data?.length !== elementCount(average.shape)) {
        const message = `the average of ${name} does not fit this model`;
        throw new SupernetError('invalid-checkpoint', message, { name, expected: average.size, actual: data?.length });
      }
    }
    for (const [name, average] of this.#averages) {
      const data = (state.get(name) as Float32Array).slice();
      tf.tidy(() => average.assign(tf.tensor(data, average.shape)));
    }
  }

  dispose(): void {
    for (const average of this.#averages.values()) average.dispose();
    this.#averages.clear();
  }

  #pairs(): { readonly average: tf.Variable; readonly weight: tf.Variable }[] {
    return [...this.#averages].map(([name, average]) => ({
      average,
      weight: this.#weights.get(name) as tf.Variable,
    }));
  }
}
