// Per-layer settings: dense attention where the configuration says so, other budgets, a profile's deviations.
import type { HipConfig } from './config.ts';
import { applyOverride } from './override.ts';
import { resolveConfig } from './resolve.ts';
import { withBudget } from './stages.ts';

/**
 * What one layer of a model runs: dense for the first l_d layers, `k` per layer (arXiv 2406.09827 §5), a profile's deviations, and HiP
 * in place of dense attention where more keys are visible than `denseTokens` (docs/specification/hip.md §8).
 *
 * @param layer 0 for the first
 * @param keys that the last row sees. @defaultValue few enough for dense layers to be dense
 * @returns the layer's configuration, its `layers` and `kPerLayer` worked in, or 'dense'
 * @throws HipError `invalid-config`
 * @example
 * ```ts
 * import { INFINITE_HIP_CONFIG, layerConfig } from '@hip/mask-search';
 * const k = [0, 3].map((layer) => layerConfig(INFINITE_HIP_CONFIG, layer)).map((c) => (c === 'dense' ? 0 : c.k));
 * console.log(k); // => [ 4096, 2048 ]
 * ```
 */
export function layerConfig(config: Partial<HipConfig>, layer: number, keys = 0): HipConfig | 'dense' {
  const resolved = resolveConfig(config);
  const { kPerLayer, layers, denseLayers, denseTokens = Infinity, ...common } = resolved;
  const override = layers?.[layer] ?? {};
  const base: HipConfig = { ...common, denseLayers, denseTokens: resolved.denseTokens };
  if (override.dense ?? layer < denseLayers) return keys > denseTokens ? resolveConfig(beyondDense(base)) : 'dense';
  if (!layers?.[layer] && kPerLayer?.[layer] === undefined) return base;
  // kPerLayer is older than budgets by head, which are a layer's own when both are given.
  const k = override.k ?? (override.kPerHead ? undefined : kPerLayer?.[layer]);
  return resolveConfig(applyOverride(base, { ...override, k }));
}

/** A dense layer with more keys than it may read. */
function beyondDense({ kDense, ...config }: HipConfig): HipConfig {
  const k = kDense ?? 4 * config.k;
  const stages = config.stages && withBudget(config.stages, k);
  return { ...config, k, stages, kPerHead: undefined, remainder: undefined };
}
