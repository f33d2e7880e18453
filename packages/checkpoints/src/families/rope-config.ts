// Rotary frequencies from transformers 4.x (rope_theta, rope_scaling) and 5.x (rope_parameters) configurations.
import { CheckpointError } from '../errors.ts';
import type { RopeConfig } from '../model/config.ts';
import { numberField, objectField } from './hf-config.ts';
import type { RawConfig } from './hf-config.ts';

/**
 * Reads RoPE of a configuration: inverse frequencies, one for each pair of the head's dimensions.
 *
 * Scaling types: default, linear, dynamic, llama3 (Llama 3.1), yarn (Peng 2023).
 *
 * @throws CheckpointError `unsupported-model` for other types (longrope) and partial rotary factors.
 */
export function readRope(raw: RawConfig, headSize: number, maxPositions: number, defaultTheta = 10_000): RopeConfig {
  const parameters = ropeParameters(raw);
  const theta = numberField({ rope_theta: parameters['rope_theta'] ?? raw['rope_theta'] }, 'rope_theta', defaultTheta);
  const type = parameters['rope_type'] ?? parameters['type'] ?? 'default';
  const partial = parameters['partial_rotary_factor'] ?? raw['partial_rotary_factor'] ?? 1;
  if (partial !== 1) {
    throw new CheckpointError(
      'unsupported-model',
      `partial_rotary_factor ${JSON.stringify(partial)} is not supported`,
      {
        partial,
      },
    );
  }
  const base = inverseFrequencies(theta, headSize);
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
      return yarn(base, theta, headSize, parameters, maxPositions);
    default:
      throw new CheckpointError(
        'unsupported-model',
        `rope type ${JSON.stringify(type)} is not supported (supported: default, linear, dynamic, llama3, yarn)`,
        { type },
      );
  }
}

/** θ^(−2i/d) for i < d/2 with d the head size, in float32 steps, as transformers computes it. */
export function inverseFrequencies(theta: number, headSize: number): number[] {
  return Array.from({ length: headSize / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headSize))),
  );
}

function ropeParameters(raw: RawConfig): RawConfig {
  // A rope_scaling added to a 5.x configuration (as model cards tell for long contexts) replaces rope_parameters.
  const v4 = objectField(raw, 'rope_scaling');
  if (v4 && Object.keys(v4).length > 0) return v4;
  const v5 = objectField(raw, 'rope_parameters') ?? {};
  // 5.x nests one set per layer type where types differ; full attention is what these families use.
  return objectField(v5, 'full_attention') ?? v5;
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
