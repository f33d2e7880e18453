// How layers attend: HiP's parameters, and up to which length dense attention is the faster one.
import {
  layerRule,
  resolveConfig,
  suitableConfig,
  type DenseBelow,
  type HipConfig,
  type LayerRule,
} from '@hip/mask-search';

/** Options of attention. */
export interface AttentionOptions {
  /** Parameters of HiP; what is left out is `DEFAULT_CONFIG`'s. */
  readonly config?: Partial<HipConfig> | undefined;
  /**
   * Keys up to which attention is dense, which is exact: of all rows alike. 0: HiP from the first key on.
   *
   * @defaultValue `DENSE_BELOW` of `@hip/mask-search`: where HiP becomes the faster one (on the CPU 2048 for the rows of a prompt in
   * onnxruntime-node, 1024 in WebAssembly, and 5632 for a single row; 8192 on WebGPU), and 16384 for the last 64 rows of a call on the CPU
   */
  readonly denseBelow?: number | undefined;
}

/** How one layer attends. A sink's key is counted by its configuration, not by lengths. @throws HipError `invalid-config` */
export function planLayer(
  { config, denseBelow }: AttentionOptions,
  usual: DenseBelow,
  form: { readonly layer: number; readonly headDim: number; readonly hasSink: boolean; readonly window: number },
): LayerRule {
  const { layer, headDim, window, hasSink } = form;
  const suitable = suitableConfig(resolveConfig(config), { headDim });
  const rule = layerRule(suitable, { layer, window, denseBelow: denseBelow ?? usual });
  // The key that stands for the sinks is the first of all.
  return rule.config && hasSink ? { ...rule, config: { ...rule.config, sink: rule.config.sink + 1 } } : rule;
}
