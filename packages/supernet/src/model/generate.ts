// Text generation with a key/value cache: greedy, or temperature sampling with top-k/top-p from a seed.
import type * as tf from '@tensorflow/tfjs';
import { integerOption } from '../counts.ts';
import type { SubnetConfig } from '../elastic/space.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { ConcatKeyValueCache } from './cache.ts';
import { prefill, requireCausal } from './prefill.ts';
import type { AttentionFunction, ElasticModel, KeyValueCache } from './types.ts';

/** Options of {@link generate}. */
export interface GenerateOptions {
  /** @defaultValue 64 */
  readonly maxTokens?: number | undefined;
  /** 0 is greedy. @defaultValue 0 */
  readonly temperature?: number | undefined;
  /** Sample among the k likeliest tokens; 0 = all. @defaultValue 0 */
  readonly topK?: number | undefined;
  /** Sample among the likeliest tokens that reach this probability. @defaultValue 1 */
  readonly topP?: number | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
  /** Ids that end the text. @defaultValue the configuration's eos_token_id */
  readonly stopIds?: readonly number[] | undefined;
  readonly attention?: AttentionFunction | undefined;
  readonly subnet?: SubnetConfig | undefined;
  /** @defaultValue 1024 */
  readonly chunkTokens?: number | undefined;
  /** A cache that already holds earlier tokens; `prompt` are the tokens after them. The caller disposes it. */
  readonly cache?: KeyValueCache | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onToken?: ((id: number) => void) | undefined;
}

/**
 * Continues a prompt.
 *
 * @returns the new token ids, without the stop token
 * @throws SupernetError `invalid-option`, `invalid-input` (an empty prompt, an id that is no token), `unsupported-model` (not causal),
 * `aborted`
 *
 * @example
 * ```ts
 * const ids = await generate(model, tokenizer.encode('It was a dark'), { maxTokens: 8, temperature: 0.8, topP: 0.9, seed: 1 });
 * console.log(tokenizer.decode(ids));
 * ```
 */
export async function generate(
  model: ElasticModel,
  prompt: readonly number[] | Int32Array,
  options: GenerateOptions = {},
): Promise<number[]> {
  requireCausal(model);
  const { maxTokens = 64, temperature = 0, topK = 0, topP = 1, seed = 0 } = options;
  integerOption('maxTokens', maxTokens, 0);
  integerOption('topK', topK, 0);
  integerOption('seed', seed);
  if (!(temperature >= 0) || !Number.isFinite(temperature)) {
    throw new SupernetError('invalid-option', `temperature = ${temperature}: expected a number ≥ 0`, { temperature });
  }
  if (!(topP > 0 && topP <= 1))
    throw new SupernetError('invalid-option', `topP = ${topP}: expected 0 < topP ≤ 1`, { topP });
  const stop = new Set(options.stopIds ?? model.config.eosTokenIds);
  const random = mulberry32(seed);
  const cache = options.cache ?? new ConcatKeyValueCache();
  const tokens: number[] = [];
  try {
    let next: readonly number[] | Int32Array = prompt;
    while (tokens.length < maxTokens) {
      throwIfAborted(options.signal, 'generate');
      const last: tf.Tensor1D = await prefill(model, next, cache, options);
      const logits = (await last.data()) as Float32Array;
      last.dispose();
      const id = temperature === 0 ? argmax(logits) : sample(logits, temperature, topK, topP, random());
      if (stop.has(id)) break;
      tokens.push(id);
      options.onToken?.(id);
      next = [id];
    }
  } finally {
    if (!options.cache) cache.dispose();
  }
  return tokens;
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  return best;
}

/** One draw from softmax(logits / temperature) restricted to top-k and top-p; `uniform` in [0, 1). */
function sample(logits: Float32Array, temperature: number, topK: number, topP: number, uniform: number): number {
  const order = Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number));
  if (topK > 0) order.length = Math.min(order.length, topK);
  const max = logits[order[0] as number] as number;
  const weights = order.map((id) => Math.exp(((logits[id] as number) - max) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let kept = 0;
  let mass = 0;
  while (kept < weights.length && mass < topP * total) mass += weights[kept++] as number;
  let draw = uniform * mass;
  for (let i = 0; i < kept; i++) {
    draw -= weights[i] as number;
    if (draw < 0) return order[i] as number;
  }
  return order[Math.max(0, kept - 1)] as number;
}

/** Small seeded generator (mulberry32) on [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
