// Text generation with a key/value cache: greedy, or seeded sampling, by the checkpoint's own settings where the caller gives none.
import type * as tf from '@tensorflow/tfjs';
import { integerOption } from '../counts.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { ConcatKeyValueCache } from './cache.ts';
import { workOn } from './cache-guard.ts';
import { positionLimit } from './positions.ts';
import { requireCausal, runPrompt } from './prefill.ts';
import { createSampler, penalizeRepetition, requirePenalty, samplingOptions } from '@hip/checkpoints/generation';
import type { SamplingOptions } from '@hip/checkpoints/generation';
import type { AttentionFunction, ElasticModel, KeyValueCache } from './types.ts';

/** Options of {@link generate}. Those left out are the checkpoint's (`generation_config.json`), else the defaults here. */
export interface GenerateOptions extends SamplingOptions {
  /** @defaultValue 64 */
  readonly maxTokens?: number | undefined;
  /** Divides the logits above 0 of tokens of this prompt and reply, multiplies those below (Keskar 2019). @defaultValue 1 */
  readonly repetitionPenalty?: number | undefined;
  /** Ids that end the text. @defaultValue the checkpoint's eos_token_id */
  readonly stopIds?: readonly number[] | undefined;
  readonly attention?: AttentionFunction | undefined;
  readonly subnet?: SubnetConfig | undefined;
  /** @defaultValue 1024 */
  readonly chunkTokens?: number | undefined;
  /**
   * A cache that already holds earlier tokens; `prompt` are the tokens after them. Afterwards it holds prompt and reply as returned, so
   * that the next turn goes on after them; what fails or is aborted leaves it as it was. The caller disposes it.
   */
  readonly cache?: KeyValueCache | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onToken?: ((id: number) => void) | undefined;
}

/**
 * Continues a prompt until a stop token, `maxTokens`, or the last row of a learned position table (GPT-2's n_positions; its last token
 * is then not in the cache).
 *
 * @returns the new token ids, without the stop token
 * @throws SupernetError `invalid-option`, `invalid-input` (an empty prompt, an id that is no token, a prompt of more tokens than the
 * model has positions, a cache in use), `unsupported-model` (not causal), `non-finite` (a logit, with the step's number: 1 chooses the
 * first token), `aborted`
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
  const { generation = {} } = model;
  const maxTokens = options.maxTokens ?? generation.maxTokens ?? 64;
  const penalty = options.repetitionPenalty ?? generation.repetitionPenalty ?? 1;
  integerOption('maxTokens', maxTokens, 0);
  requirePenalty(penalty);
  const sampler = createSampler(samplingOptions(options, generation));
  const stop = new Set(options.stopIds ?? generation.stopIds ?? model.config.eosTokenIds);
  const seen = new Set(prompt);
  const choose = (logits: Float32Array): number =>
    sampler(penalty === 1 ? logits : penalizeRepetition(logits.slice(), seen, penalty));
  const cache = options.cache ?? new ConcatKeyValueCache();
  const limit = positionLimit(model.config);
  try {
    return await workOn(cache, async () => {
      const tokens: number[] = [];
      let next: readonly number[] | Int32Array = prompt;
      while (tokens.length < maxTokens) {
        throwIfAborted(options.signal, 'generate');
        const last: tf.Tensor1D = await runPrompt(model, next, cache, options);
        const logits = await numbersOf(last);
        const id = atStep(tokens.length + 1, () => choose(logits));
        if (stop.has(id)) return tokens;
        tokens.push(id);
        seen.add(id);
        options.onToken?.(id);
        next = [id];
        if (cache.length >= limit) return tokens;
      }
      // Nobody asks what follows the last token, but the next turn attends to it.
      if (options.cache) (await runPrompt(model, next, cache, options)).dispose();
      return tokens;
    });
  } finally {
    if (!options.cache) cache.dispose();
  }
}

async function numbersOf(logits: tf.Tensor1D): Promise<Float32Array> {
  try {
    return (await logits.data()) as Float32Array;
  } finally {
    logits.dispose();
  }
}

function atStep(step: number, choose: () => number): number {
  try {
    return choose();
  } catch (error) {
    if (!(error instanceof SupernetError && error.code === 'non-finite')) throw error;
    throw new SupernetError(
      'non-finite',
      `step ${step}: ${error.message}`,
      { ...error.details, step },
      { cause: error },
    );
  }
}
