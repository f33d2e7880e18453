// What an engine will take, before anything is allocated: weights from the checkpoint's headers, the rest from the configuration.
import type { ModelConfig, OpenCheckpoint } from '@hip/checkpoints';
import { planMemory } from '@hip/kernels-cpu';
import { LlmError } from '../errors.ts';
import { translated } from './failures.ts';
import { LayerAttention } from './layer-attention.ts';
import { layerShapes } from './layers.ts';
import { CHUNK_TOKENS, resolveOptions, type ResolvedOptions } from './options.ts';
import { scratchLengths } from './wasm/scratch.ts';
import { requireDecoder } from './support.ts';
import type { EngineOptions, EnginePlan } from './types.ts';
import { planWeights } from './weights.ts';

/** What 32-bit WebAssembly addresses. */
const MOST_BYTES = 2 ** 32;

/**
 * Bytes that {@link loadEngine} will take with these options: weights and scratch at once, the cache as one sequence grows to
 * `contextTokens`. Only headers are read.
 *
 * @throws LlmError `unsupported-model`, `invalid-input`; what reading headers throws
 *
 * @example
 * ```ts
 * import { openCheckpoint } from '@hip/checkpoints';
 * import { planEngine } from '@hip/llm';
 *
 * await using smollm2 = await openCheckpoint('./SmolLM2-135M-Instruct.Q4_1.gguf');
 * const plan = await planEngine(smollm2, { contextTokens: 8192, attention: 'dense' });
 * console.log(Math.floor(plan.cache / 8192)); // => 23040
 * ```
 */
export async function planEngine(checkpoint: OpenCheckpoint, options: EngineOptions = {}): Promise<EnginePlan> {
  const { config } = checkpoint;
  requireDecoder(config);
  try {
    const resolved = resolveOptions(options, config);
    const { bytes } = await planWeights(checkpoint, resolved.weights);
    return planned(config, resolved, bytes, threadsOf(options));
  } catch (error) {
    throw translated(error);
  }
}

/** @throws LlmError `out-of-memory` where weights and scratch alone do not fit; a cache that does not is refused when it is that long */
export function requireRoom({ weights, scratch, total, contextTokens }: EnginePlan): void {
  if (weights + scratch <= MOST_BYTES) return;
  const message = `weights of ${weights} bytes and ${scratch} of scratch are more than the ${MOST_BYTES} that WebAssembly addresses: use weights: 'q4', or a smaller model`;
  throw new LlmError('out-of-memory', message, { weights, scratch, total, contextTokens, available: MOST_BYTES });
}

function planned(config: ModelConfig, options: ResolvedOptions, weights: number, threads: number): EnginePlan {
  const { contextTokens, cache: type } = options;
  const shapes = layerShapes(config);
  const rows = Math.min(CHUNK_TOKENS, contextTokens);
  const activations = Object.values(scratchLengths(config, shapes, rows)).reduce((sum, length) => sum + 4 * length, 0);
  let cache = 0;
  let working = 0;
  for (const shape of shapes) {
    const attention = new LayerAttention(shape, options.attention);
    const hip = attention.kind(contextTokens, rows) === 'hip' ? attention.config : undefined;
    const { heads, kvHeads, headDim } = shape;
    const plan = planMemory({
      shape: { batch: 1, queries: rows, keys: contextTokens, heads, kvHeads, headDim },
      config: hip,
      threads,
      type,
    });
    cache += plan.pages + plan.envelopes;
    working = Math.max(working, plan.staging + plan.mask + plan.scratch);
  }
  const scratch = activations + working;
  return { weights, cache, scratch, total: weights + cache + scratch, contextTokens };
}

function threadsOf({ threads = 'auto' }: EngineOptions): number {
  if (threads !== 'auto') return threads;
  return Math.min(16, (globalThis.navigator as Navigator | undefined)?.hardwareConcurrency ?? 1);
}
