// Asks a model: the context is read once, each question after it through the same cache, which is cut back.
import * as tf from '@tensorflow/tfjs';
import { hipModelCache } from '@hip/attention';
import { prefill, type ElasticModel } from '@instatune/supernet';
import type { Named } from './configurations.ts';
import type { Task } from './tasks.ts';

export interface Answers {
  /** One a question: the share of its items of which every token was likeliest. */
  readonly right: readonly number[];
}

/** @param chunkTokens of the context, a multiple of `blockQ` */
export async function ask(
  model: ElasticModel,
  { context, questions }: Task,
  { options }: Named,
  chunkTokens: number,
): Promise<Answers> {
  using cache = hipModelCache(options);
  const { attention } = cache;
  (await prefill(model, context, cache, { attention, chunkTokens })).dispose();
  const right: number[] = [];
  for (const { ids, items } of questions) {
    const guesses = new Int32Array(ids.length);
    const last = await prefill(model, ids, cache, { attention, chunkTokens }, async ({ start, logits }) => {
      const best = tf.tidy(() => tf.argMax(logits, 1));
      guesses.set(await best.data(), start);
      best.dispose();
    });
    last.dispose();
    cache.truncate(context.length);
    const known = items.filter(([from, to]) => ids.subarray(from, to).every((id, i) => guesses[from + i - 1] === id));
    right.push(known.length / items.length);
  }
  return { right };
}

/**
 * Share of right answers beside those of dense attention to the same questions.
 *
 * @returns the paired difference with the half-width of its 95 % interval
 */
export function paired(
  right: readonly number[],
  dense: readonly number[],
): { readonly right: number; readonly difference: number; readonly interval: number } {
  const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
  const differences = right.map((x, i) => x - dense[i]!);
  const difference = mean(differences);
  const variance = mean(differences.map((x) => (x - difference) ** 2));
  return { right: mean(right), difference, interval: 1.96 * Math.sqrt(variance / Math.max(1, right.length - 1)) };
}
