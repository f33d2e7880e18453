// What an engine takes in GPU memory.
import type { ModelConfig } from '@hip/checkpoints';
import { OFFLOADED_PAGE_TOKENS, PAGE_TOKENS, planModelPool } from '@hip/kernels-webgpu';
import type { WebgpuChoice } from '../backend.ts';
import type { LayerShape } from '../layers.ts';
import type { ResolvedOptions } from '../options.ts';
import type { EnginePlan } from '../types.ts';
import type { WeightsPlan } from '../weights.ts';
import { activationBytes, rowBuffers, type RowsOptions } from './activations.ts';
import { modelLayers } from './layers.ts';
import { MOST_TOGETHER } from './batch.ts';
import { waitingBytes } from './offloaded-prompt.ts';
import { webgpuWeightBytes } from './weights.ts';

/** @throws HipError `invalid-config`, `unsupported` where a binding does not hold what it must */
export function planWebgpu(
  config: ModelConfig,
  shapes: readonly LayerShape[],
  options: ResolvedOptions,
  weightsPlan: WeightsPlan,
  { limits, profile }: WebgpuChoice,
): EnginePlan {
  const { contextTokens, rows } = options;
  const weights = webgpuWeightBytes(weightsPlan, limits);
  const layers = modelLayers(config, shapes, options.attention);
  const pool = planModelPool({ ...poolOptions(options, layers), chunkTokens: rows }, { limits, profile });
  const activations = (count: number): number =>
    activationBytes(rowBuffers(config, shapes, { rows: count, ...rowsOptions(options), profile }));
  const cache = pool.pages + pool.perSession;
  const waiting = options.offload === undefined ? 0 : waitingBytes(config, shapes, { rows, tokens: contextTokens });
  const scratch = activations(rows) + activations(MOST_TOGETHER) + pool.chunk + waiting;
  return { backend: 'webgpu', weights, cache, scratch, total: weights + cache + scratch, contextTokens };
}

/** How activations are held. */
export function rowsOptions({ cache, weights }: ResolvedOptions): Pick<RowsOptions, 'cache' | 'isExact'> {
  return { cache, isExact: weights === 'f32' };
}

/** What the engine's pool of pages is made with. */
export function poolOptions(
  { cache, cacheTokens, contextTokens, conversations, offload }: ResolvedOptions,
  layers: ReturnType<typeof modelLayers>,
): Parameters<typeof planModelPool>[0] {
  return {
    layers,
    tokens: offload ?? cacheTokens,
    maxTokens: contextTokens,
    type: cache,
    pageTokens: offload === undefined ? PAGE_TOKENS : OFFLOADED_PAGE_TOKENS,
    offload: offload !== undefined,
    conversations,
  };
}
