// Options of an engine, checked and completed.
import type { ModelConfig } from '@hip/checkpoints';
import { DENSE_BELOW, resolveConfig, suitableConfig, type DenseBelow, type HipConfig } from '@hip/mask-search';
import { LlmError } from '../errors.ts';
import type { AttentionChoice, Backend, EngineOptions, WeightChoice } from './types.ts';

/** Tokens that pass through the layers at a time: enough rows for products to run near the peak, few enough to be small. */
export const CHUNK_TOKENS = 512;
/** On a GPU: as many as take so many numbers of activations, since the host's part of a chunk does not grow with it. */
const CHUNK_NUMBERS = 56 * 2 ** 20;
const CHUNK_MOST = 8192;

/** Tokens that a GPU's cache holds beyond one sequence: for others that are short, and what forks copy. */
const SPARE_TOKENS = 1024;

const WEIGHTS: readonly WeightChoice[] = ['stored', 'f32', 'f16', 'q8', 'q4'];

/** {@link EngineOptions} with nothing left open. */
export interface ResolvedOptions {
  readonly weights: WeightChoice;
  readonly contextTokens: number;
  readonly cache: 'f16' | 'f32';
  readonly attention: ResolvedAttention;
  /** Tokens that pass through the layers at a time. */
  readonly rows: number;
  readonly memoryLimit: number | undefined;
  /** Tokens that the cache of a GPU holds, of all sequences. */
  readonly cacheTokens: number;
  /** Conversations whose windows a GPU has room for; undefined: as the kernels choose. */
  readonly conversations: number | undefined;
  /** Tokens on the GPU at once, where others go to the host. */
  readonly offload: number | undefined;
}

export interface ResolvedAttention {
  /** HiP's parameters, a profile's layers among them; undefined where all layers are dense. */
  readonly config: HipConfig | undefined;
  readonly denseBelow: DenseBelow;
}

/** @throws LlmError `invalid-input` naming the option, its value and what is allowed */
export function resolveOptions(options: EngineOptions, config: ModelConfig, backend: Backend): ResolvedOptions {
  const { weights = 'stored', cache = 'f16', attention = {}, memoryLimit, conversations, offload } = options;
  oneOf('weights', weights, WEIGHTS);
  oneOf('cache', cache, ['f16', 'f32']);
  if (memoryLimit !== undefined && !(memoryLimit > 0)) throw invalid('memoryLimit', memoryLimit, 'bytes > 0');
  if (offload && !(Number.isSafeInteger(offload.tokens) && offload.tokens >= 1)) {
    throw invalid('offload.tokens', offload.tokens, 'an integer >= 1');
  }
  const contextTokens = contextOf(options, config);
  const cacheTokens = options.cacheTokens ?? contextTokens + SPARE_TOKENS;
  if (!(Number.isSafeInteger(cacheTokens) && cacheTokens >= 1))
    throw invalid('cacheTokens', cacheTokens, 'an integer >= 1');
  if (conversations !== undefined && !(Number.isSafeInteger(conversations) && conversations >= 1))
    throw invalid('conversations', conversations, 'an integer >= 1');
  return {
    weights,
    cache,
    attention: resolveAttention(attention, config.headSize, DENSE_BELOW[backend]),
    contextTokens,
    rows: Math.min(backend === 'wasm' ? CHUNK_TOKENS : gpuChunk(config), contextTokens),
    memoryLimit,
    cacheTokens,
    conversations,
    offload: offload && offload.tokens < contextTokens ? offload.tokens : undefined,
  };
}

/** A power of two, so that blocks of the search never lie across two chunks. */
function gpuChunk({ hiddenSize, heads, headSize, ffn }: ModelConfig): number {
  const numbers = 2 * hiddenSize + 4 * heads * headSize + ffn;
  return Math.min(CHUNK_MOST, 2 ** Math.max(9, Math.floor(Math.log2(CHUNK_NUMBERS / numbers))));
}

function resolveAttention(choice: AttentionChoice, headSize: number, usual: DenseBelow): ResolvedAttention {
  if (choice === 'dense') return { config: undefined, denseBelow: usual };
  if (typeof choice !== 'object' || choice === null) {
    throw invalid('attention', choice, "'dense', or an object with config, profile, denseBelow");
  }
  const { profile, config = {}, denseBelow: given } = choice;
  if (given !== undefined && !(given >= 0)) throw invalid('attention.denseBelow', given, 'a number >= 0');
  const denseBelow = given === undefined ? usual : { rows: given, question: given, step: given };
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
