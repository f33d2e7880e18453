// Per-layer settings: dense attention in the first l_d layers, another k where the configuration says so.
import type { HipConfig } from './config.ts';
import { resolveConfig } from './config.ts';
import { withBudget } from './stages.ts';

/**
 * What one layer of a model runs (docs/specification/hip.md §2: `k` per layer, dense for the first l_d layers).
 *
 * @param layer 0 for the first
 * @returns the layer's configuration, or 'dense'
 * @throws HipError `invalid-config`
 * @example
 * ```ts
 * import { INFINITE_HIP_CONFIG, layerConfig } from '@hip/mask-search';
 * const k = [0, 3].map((layer) => layerConfig(INFINITE_HIP_CONFIG, layer)).map((c) => (c === 'dense' ? 0 : c.k));
 * k; // [4096,2048]
 * ```
 */
export function layerConfig(config: Partial<HipConfig>, layer: number): HipConfig | 'dense' {
  const resolved = resolveConfig(config);
  if (layer < resolved.denseLayers) return 'dense';
  const k = resolved.kPerLayer?.[layer] ?? resolved.k;
  if (k === resolved.k) return resolved;
  return resolveConfig({ ...resolved, k, stages: resolved.stages && withBudget(resolved.stages, k) });
}
