// Options of an engine, checked and completed.
import type { ModelConfig } from '@hip/checkpoints';
import { resolveConfig, suitableConfig, type HipConfig } from '@hip/mask-search';
import { LlmError } from '../errors.ts';
import type { AttentionChoice, EngineOptions, WeightChoice } from './types.ts';

/** Keys up to which dense attention is at least as fast (benchmarks: llm-cpu): for rows of a text, and for a single row. */
export const DENSE_BELOW = { rows: 1024, step: 5632 } as const;

/** Tokens that pass through the layers at a time: enough rows for products to run near the peak, few enough to be small. */
export const CHUNK_TOKENS = 512;

const WEIGHTS: readonly WeightChoice[] = ['stored', 'f32', 'f16', 'q8', 'q4'];

/** {@link EngineOptions} with nothing left open. */
export interface ResolvedOptions {
  readonly weights: WeightChoice;
  readonly contextTokens: number;
  readonly cache: 'f16' | 'f32';
  readonly attention: ResolvedAttention;
}

export interface ResolvedAttention {
  /** HiP's parameters, a profile's layers among them; undefined where all layers are dense. */
  readonly config: HipConfig | undefined;
  readonly denseBelow: { readonly rows: number; readonly step: number };
}

/** @throws LlmError `invalid-input` naming the option, its value and what is allowed */
export function resolveOptions(options: EngineOptions, config: ModelConfig): ResolvedOptions {
  const { weights = 'stored', cache = 'f16', attention = {} } = options;
  oneOf('weights', weights, WEIGHTS);
  oneOf('cache', cache, ['f16', 'f32']);
  return {
    weights,
    cache,
    attention: resolveAttention(attention, config.headSize),
    contextTokens: contextOf(options, config),
  };
}

function resolveAttention(choice: AttentionChoice, headSize: number): ResolvedAttention {
  if (choice === 'dense') return { config: undefined, denseBelow: DENSE_BELOW };
  if (typeof choice !== 'object' || choice === null) {
    throw invalid('attention', choice, "'dense', or an object with config, profile, denseBelow");
  }
  const { profile, config = {}, denseBelow: given } = choice;
  if (given !== undefined && !(given >= 0)) throw invalid('attention.denseBelow', given, 'a number >= 0');
  const denseBelow = given === undefined ? DENSE_BELOW : { rows: given, step: given };
  if (!profile) return { config: suitableConfig(resolveConfig(config), { headDim: headSize }), denseBelow };
  // A profile says which layers are dense and how many keys each head keeps; `k` is only their mean.
  const { k: _, ...searched } = profile.config;
  const whole = { ...config, ...searched, denseLayers: 0, layers: profile.layers };
  return { config: suitableConfig(resolveConfig(whole), { headDim: headSize }), denseBelow };
}

/** A learned position table ends where it ends; rotations go on beyond what the model was trained for. */
function contextOf({ contextTokens }: EngineOptions, config: ModelConfig): number {
  const { maxPositions, positionRows, positionOffset, rope } = config;
  const most = positionRows > 0 ? positionRows - positionOffset : Infinity;
  const trained = Math.floor(maxPositions * (rope?.dynamic?.factor ?? 1));
  const tokens = contextTokens ?? Math.min(trained, most);
  if (Number.isSafeInteger(tokens) && tokens >= 1 && tokens <= most) return tokens;
  throw invalid('contextTokens', tokens, most === Infinity ? 'an integer >= 1' : `an integer from 1 to ${most}`);
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) throw invalid(name, value, allowed.join(', '));
}

function invalid(name: string, value: unknown, fix: string): LlmError {
  return new LlmError('invalid-input', `${name} is ${JSON.stringify(value)}: give ${fix}`, { name, value });
}
