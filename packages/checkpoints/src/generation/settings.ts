// How tokens are chosen: what the caller says, else what the checkpoint advises.
import type { GenerationDefaults } from './generation-config.ts';
import type { SamplingOptions } from './sampling.ts';

/**
 * The options of `createSampler` for a generation: a checkpoint that does not sample is greedy unless the caller gives a temperature.
 *
 * @example
 * ```ts
 * import { samplingOptions } from '@hip/checkpoints/generation';
 *
 * const { temperature, topK, topP } = samplingOptions({ topP: 0.5 }, { sample: true, temperature: 0.7, topK: 20 });
 * console.log(temperature, topK, topP); // => 0.7 20 0.5
 * ```
 */
export function samplingOptions(options: SamplingOptions, defaults: GenerationDefaults): SamplingOptions {
  return {
    temperature: options.temperature ?? (defaults.sample ? (defaults.temperature ?? 1) : 0),
    topK: options.topK ?? defaults.topK,
    topP: options.topP ?? defaults.topP,
    minP: options.minP ?? defaults.minP,
    seed: options.seed,
    masked: options.masked,
  };
}
