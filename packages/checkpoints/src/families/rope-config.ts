// Rotary frequencies from transformers 4.x (rope_theta, rope_scaling) and 5.x (rope_parameters) configurations.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import type { RopeConfig } from '../model/config.ts';
import { countField, numberField, objectField } from './hf-config.ts';
import type { RawConfig } from './hf-config.ts';

/** Scaling types that are read, by transformers' names. */
const TYPES = 'default, linear, dynamic, llama3, yarn, longrope';

/** Dimensions of a head at most. */
const MAX_HEAD_SIZE = 2 ** 16;

/**
 * Reads RoPE of a configuration: inverse frequencies, one for each pair of the head's rotated dimensions.
 *
 * Scaling types: default, linear, dynamic, llama3 (Llama 3.1), yarn (Peng 2023), longrope (Ding 2024, Phi-3).
 *
 * @param layerType - whose rotation it is where the configuration keeps one for each type of layer (Gemma 3)
 * @throws CheckpointError `unsupported-model` for other types, `invalid-config`
 */
export function readRope(
  raw: RawConfig,
  headSize: number,
  maxPositions: number,
  defaultTheta = 10_000,
  layerType: 'full_attention' | 'sliding_attention' = 'full_attention',
): RopeConfig {
  const parameters = ropeParameters(raw, layerType);
  const theta = numberField({ rope_theta: parameters['rope_theta'] ?? raw['rope_theta'] }, 'rope_theta', defaultTheta);
  const type = parameters['rope_type'] ?? parameters['type'] ?? 'default';
  const size = rotatedSize(parameters['partial_rotary_factor'] ?? raw['partial_rotary_factor'], headSize);
  const base = inverseFrequencies(theta, size);
  const rope = (frequencies: readonly number[], attentionFactor = 1): RopeConfig => ({
    theta,
    inverseFrequencies: frequencies,
    attentionFactor,
  });
  switch (type) {
    case 'default':
      return rope(base);
    case 'linear': {
      const factor = numberField(parameters, 'factor');
      return rope(base.map((f) => Math.fround(f / factor)));
    }
    case 'dynamic':
      return { ...rope(base), dynamic: { factor: numberField(parameters, 'factor'), maxPositions } };
    case 'llama3':
      return rope(llama3(base, parameters, maxPositions));
    case 'divisors':
      return rope(divided(base, parameters['divisors']));
    case 'yarn':
      return yarn(base, theta, size, parameters, maxPositions);
    case 'longrope':
    // The name in the first Phi-3 configurations.
    case 'su':
      return longrope(theta, size, { ...originalOf(raw), ...parameters }, maxPositions);
    default:
      throw new CheckpointError(
        'unsupported-model',
        `rope type ${quoted(type)} is not supported (supported: ${TYPES})`,
        { type },
      );
  }
}

/** Dimensions of a head that are rotated: the first share of them. @throws CheckpointError `invalid-config` for a share that gives no pairs */
function rotatedSize(factor: unknown, headSize: number): number {
  const share = numberField({ partial_rotary_factor: factor ?? 1 }, 'partial_rotary_factor');
  const size = Math.floor(headSize * share);
  if (share > 0 && share <= 1 && size >= 2 && size % 2 === 0) return size;
  const message = `config.json: partial_rotary_factor ${share} of head size ${headSize}: expected an even number of dimensions`;
  throw new CheckpointError('invalid-config', message, { partial_rotary_factor: share, headSize });
}

/** Phi-3 keeps the original context length beside the scaling. */
function originalOf(raw: RawConfig): RawConfig {
  const original = raw['original_max_position_embeddings'];
  return original === undefined || original === null ? {} : { original_max_position_embeddings: original };
}

/**
 * Frequencies for a sequence of so many tokens: longer ones change those of dynamic NTK scaling and of longrope.
 *
 * @example
 * ```ts
 * import { frequenciesFor, readRope } from '@hip/checkpoints/families';
 *
 * const rope = readRope({ rope_scaling: { rope_type: 'dynamic', factor: 2 } }, 64, 1024);
 * console.log(frequenciesFor(rope, 1024) === rope.inverseFrequencies); // => true
 * console.log(frequenciesFor(rope, 2048)[31]! < rope.inverseFrequencies[31]!); // => true
 * ```
 */
export function frequenciesFor(rope: RopeConfig, tokens: number): readonly number[] {
  const { dynamic, long, theta, inverseFrequencies: base } = rope;
  if (long) return tokens > long.beyond ? long.inverseFrequencies : base;
  if (!dynamic || tokens <= dynamic.maxPositions) return base;
  const size = 2 * base.length;
  const stretch = (dynamic.factor * tokens) / dynamic.maxPositions - (dynamic.factor - 1);
  return inverseFrequencies(theta * stretch ** (size / (size - 2)), size);
}

/** θ^(−2i/d) for i < d/2 with d the head size, in float32 steps, as transformers computes it. @throws CheckpointError `invalid-config` for a head of more than 65,536 dimensions */
export function inverseFrequencies(theta: number, headSize: number): number[] {
  if (!(headSize <= MAX_HEAD_SIZE)) {
    const message = `config.json: head size ${headSize}, expected at most ${MAX_HEAD_SIZE}`;
    throw new CheckpointError('invalid-config', message, { headSize });
  }
  return Array.from({ length: headSize / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headSize))),
  );
}

function ropeParameters(raw: RawConfig, layerType: string): RawConfig {
  // A rope_scaling added to a 5.x configuration (as model cards tell for long contexts) replaces rope_parameters.
  const v4 = objectField(raw, 'rope_scaling');
  if (v4 && Object.keys(v4).length > 0) return v4;
  const v5 = objectField(raw, 'rope_parameters') ?? {};
  // 5.x nests one set per layer type where types differ.
  return objectField(v5, layerType) ?? v5;
}

/** Frequencies before and after llama3 scaling. */
export function llama3Frequencies(
  scaling: RawConfig,
  theta: number,
  headSize: number,
): { readonly base: readonly number[]; readonly scaled: readonly number[] } {
  const base = inverseFrequencies(theta, headSize);
  return { base, scaled: llama3(base, scaling, numberField(scaling, 'original_max_position_embeddings')) };
}

/** What a GGUF file says: a divisor for each frequency. */
function divided(base: readonly number[], divisors: unknown): number[] {
  if (!Array.isArray(divisors) || divisors.length !== base.length || !divisors.every((n) => n > 0)) {
    throw new CheckpointError('invalid-config', `rope divisors: expected ${base.length} positive numbers`, {
      divisors,
    });
  }
  return base.map((frequency, i) => Math.fround(frequency / (divisors[i] as number)));
}

function llama3(base: readonly number[], parameters: RawConfig, maxPositions: number): number[] {
  const factor = numberField(parameters, 'factor');
  const low = numberField(parameters, 'low_freq_factor');
  const high = numberField(parameters, 'high_freq_factor');
  const original = numberField(parameters, 'original_max_position_embeddings', maxPositions);
  return base.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength > original / low) return Math.fround(frequency / factor);
    if (wavelength < original / high) return frequency;
    const smooth = (original / wavelength - low) / (high - low);
    return Math.fround(((1 - smooth) * frequency) / factor + smooth * frequency);
  });
}

function yarn(
  base: readonly number[],
  theta: number,
  headSize: number,
  parameters: RawConfig,
  maxPositions: number,
): RopeConfig {
  const original = numberField(parameters, 'original_max_position_embeddings', maxPositions);
  const factor = numberField(parameters, 'factor', maxPositions / original);
  const optional = (key: string) => (parameters[key] === undefined ? 0 : numberField(parameters, key, 0));
  const mscale = (scale: number, weight = 1) => (scale <= 1 ? 1 : 0.1 * weight * Math.log(scale) + 1);
  const [weight, weightAll] = [optional('mscale'), optional('mscale_all_dim')];
  const derived = weight && weightAll ? mscale(factor, weight) / mscale(factor, weightAll) : mscale(factor);
  // Dimension whose wavelength makes `rotations` turns over the original context.
  const dimension = (rotations: number) =>
    (headSize * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const truncate = parameters['truncate'] !== false;
  const first = dimension(numberField(parameters, 'beta_fast', 32));
  const last = dimension(numberField(parameters, 'beta_slow', 1));
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  let high = Math.min(truncate ? Math.ceil(last) : last, headSize - 1);
  if (low === high) high += 0.001;
  const frequencies = base.map((frequency, i) => {
    const interpolate = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return Math.fround((frequency / factor) * interpolate + frequency * (1 - interpolate));
  });
  return {
    theta,
    inverseFrequencies: frequencies,
    attentionFactor: numberField(parameters, 'attention_factor', derived),
  };
}

/** longrope: each frequency divided by a factor of its own, by another one in sequences beyond the original context. */
function longrope(theta: number, size: number, parameters: RawConfig, maxPositions: number): RopeConfig {
  const original = countField(parameters, 'original_max_position_embeddings', maxPositions);
  const stretch = numberField(parameters, 'factor', maxPositions / original);
  const derived = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
  const frequencies = (key: string): number[] => {
    const factors = parameters[key];
    if (
      !Array.isArray(factors) ||
      factors.length !== size / 2 ||
      !factors.every((n) => typeof n === 'number' && n > 0)
    ) {
      const message = `config.json: ${key} must list ${size / 2} positive numbers, one for each rotated pair`;
      throw new CheckpointError('invalid-config', message, { key, value: factors });
    }
    return factors.map((factor, i) => {
      const wavelength = Math.fround(theta ** Math.fround((2 * i) / size));
      return Math.fround(1 / Math.fround(Math.fround(factor as number) * wavelength));
    });
  };
  return {
    theta,
    inverseFrequencies: frequencies('short_factor'),
    attentionFactor: numberField(parameters, 'attention_factor', derived),
    long: { beyond: original, inverseFrequencies: frequencies('long_factor') },
  };
}
