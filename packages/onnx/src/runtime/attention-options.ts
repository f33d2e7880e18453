// How layers attend: HiP's parameters, and up to which length dense attention is the faster one.
import { layerConfig, resolveConfig, suitableConfig, type HipConfig } from '@hip/mask-search';

/** Options of attention. */
export interface AttentionOptions {
  /** Parameters of HiP; what is left out is `DEFAULT_CONFIG`'s. */
  readonly config?: Partial<HipConfig> | undefined;
  /**
   * Keys up to which attention is dense, which is exact. 0: HiP from the first key on.
   *
   * @defaultValue where HiP becomes the faster one: on the CPU 2048 for the rows of a prompt in onnxruntime-node, 1024 in WebAssembly, and
   * 5632 for a single row; 3584 on WebGPU
   */
  readonly denseBelow?: number | undefined;
}

/** Keys up to which dense attention is at least as fast, for rows of a text and for a single row. */
export interface DenseBelow {
  readonly rows: number;
  readonly step: number;
}

/** Measured with `@hip/llm` and `@hip/attention`, whose kernels these are; of `native` dense rows are onnxruntime's own. */
export const DENSE_BELOW = {
  cpu: { rows: 1024, step: 5632 },
  native: { rows: 2048, step: 5632 },
  webgpu: { rows: 3584, step: 3584 },
} as const satisfies Record<string, DenseBelow>;

/** How one layer attends. */
export interface LayerPlan {
  /** Undefined: dense at any length. */
  readonly config: HipConfig | undefined;
  readonly denseBelow: DenseBelow;
}

/** @throws HipError `invalid-config` */
export function planLayer(
  { config, denseBelow }: AttentionOptions,
  fallback: DenseBelow,
  form: { readonly layer: number; readonly headDim: number; readonly hasSink: boolean; readonly window: number },
): LayerPlan {
  const limit = denseBelow === undefined ? fallback : { rows: denseBelow, step: denseBelow };
  if (form.window > 0) return { config: undefined, denseBelow: limit };
  const suitable = suitableConfig(resolveConfig(config), { headDim: form.headDim });
  const own = layerConfig(suitable, form.layer, Infinity);
  if (own === 'dense') return { config: undefined, denseBelow: limit };
  const isDense = layerConfig(suitable, form.layer) === 'dense';
  // Where HiP keeps every key anyway there is nothing to search, unless the caller asks for it.
  const kept = denseBelow === 0 ? 0 : own.k + own.window + own.sink;
  const exact = Math.max(kept, isDense ? (own.denseTokens ?? Infinity) : 0);
  return {
    // The key that stands for the sinks is the first of all.
    config: form.hasSink ? { ...own, sink: own.sink + 1 } : own,
    denseBelow: { rows: Math.max(limit.rows, exact), step: Math.max(limit.step, exact) },
  };
}

/** What rows attend to. */
export function attentionKind(
  plan: LayerPlan,
  window: number,
  keys: number,
  queries: number,
): 'window' | 'dense' | 'hip' {
  if (window > 0 && window < keys) return 'window';
  if (!plan.config || keys <= (queries === 1 ? plan.denseBelow.step : plan.denseBelow.rows)) return 'dense';
  return 'hip';
}
