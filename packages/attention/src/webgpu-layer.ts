// A layer of a model cache on webgpu: keys and values in pages on the GPU.
import type * as tf from '@tensorflow/tfjs';
import type { HipConfig } from '@hip/mask-search';
import type { LayerCache, WebgpuKernels } from '@hip/kernels-webgpu/tfjs';
import { BREAK_EVEN_KEYS } from './break-even.ts';
import type { LayerContext } from './model.ts';
import type { CacheCommon, LayerForm, ResidentLayer } from './resident-layer.ts';

export class WebgpuLayer implements ResidentLayer {
  readonly #held: LayerCache;
  readonly #onMask: CacheCommon['options']['onMask'];

  constructor(kernels: Pick<WebgpuKernels, 'createCache'>, form: LayerForm, common: CacheCommon) {
    const { shape, context } = form;
    const { scale, window } = context;
    const { maxTokens, type, onMask } = common.options;
    this.#onMask = onMask;
    const limits = { ...(maxTokens !== undefined && { maxTokens }), ...(type && { type }) };
    this.#held = kernels.createCache({ ...shape, ...limits, ...searched(form, common), scale, window });
  }

  get length(): number {
    return this.#held.length;
  }

  get bytes(): number {
    return this.#held.bytes;
  }

  attend(q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, { layer, window }: LayerContext): tf.Tensor4D {
    const onMask = this.#onMask;
    return this.#held.attend(q, k, v, { window, ...(onMask && { onMask: (mask) => onMask(mask, layer) }) });
  }

  truncate(length: number): void {
    this.#held.truncate(length);
  }

  dispose(): void {
    this.#held.dispose();
  }
}

/** What the layer searches by, and the keys up to which it is dense. */
function searched(
  { shape, context: { layer, rotation } }: LayerForm,
  { options, configs, backend }: CacheCommon,
): { readonly config: HipConfig | 'dense'; readonly denseBelow: number } {
  const { dense = 'auto' } = options;
  const heads = { headDim: shape.headDim, rotation };
  // A dense layer may turn sparse when the text is long.
  const longest = configs.of(layer, Infinity, heads);
  if (dense === 'always' || longest === 'dense') return { config: 'dense', denseBelow: Infinity };
  const { k, window, sink, denseTokens = Infinity } = longest;
  const exact = configs.of(layer, 0, heads) === 'dense' ? denseTokens : 0;
  const faster = dense === 'auto' ? Math.max(BREAK_EVEN_KEYS[backend], k + window + sink) : 0;
  return { config: longest, denseBelow: Math.max(exact, faster) };
}
