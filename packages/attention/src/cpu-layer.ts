// A layer of a model cache on cpu and wasm: keys and values in WebAssembly memory.
import * as tf from '@tensorflow/tfjs';
import type { CpuRuntime, KeyValueCache } from '@hip/kernels-cpu';
import { chooseDense } from './break-even.ts';
import { slidingMask, type LayerContext } from './model.ts';
import type { CacheCommon, LayerForm, ResidentLayer } from './resident-layer.ts';

export class CpuLayer implements ResidentLayer {
  readonly #held: KeyValueCache;
  readonly #form: LayerForm;
  readonly #common: CacheCommon;

  constructor(runtime: CpuRuntime, form: LayerForm, common: CacheCommon) {
    const { shape, context } = form;
    const { layer, scale, rotation } = context;
    const { maxTokens, type } = common.options;
    // A dense layer may turn sparse when the text is long.
    const longest = common.configs.of(layer, Infinity, { headDim: shape.headDim, rotation });
    const config = longest === 'dense' ? {} : longest;
    const limits = { ...(maxTokens !== undefined && { maxTokens }), ...(type && { type }) };
    this.#held = runtime.createCache({ ...shape, ...limits, config, scale });
    this.#form = form;
    this.#common = common;
  }

  get length(): number {
    return this.#held.length;
  }

  get bytes(): number {
    return this.#held.bytes;
  }

  attend(q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, context: LayerContext): tf.Tensor4D {
    const held = this.#held;
    const before = held.length;
    try {
      held.append(k.dataSync() as Float32Array, v.dataSync() as Float32Array);
      return tf.tensor4d(this.#attend(q, context), q.shape);
    } catch (error) {
      if (before > 0) held.truncate(before);
      throw error;
    }
  }

  truncate(length: number): void {
    this.#held.truncate(length);
  }

  dispose(): void {
    this.#held.dispose();
  }

  #attend(q: tf.Tensor4D, { layer, window }: LayerContext): Float32Array {
    const held = this.#held;
    const { shape, context } = this.#form;
    const rows = q.dataSync() as Float32Array;
    const { dense = 'auto', onMask } = this.#common.options;
    const keys = held.length;
    if (window !== undefined && window < keys) {
      return held.attendMasked(rows, slidingMask({ ...shape, queries: q.shape[1], keys }, window));
    }
    const { k, window: recent, sink } = held.config;
    const form = { headDim: shape.headDim, rotation: context.rotation };
    const isDense =
      dense === 'always' ||
      this.#common.configs.of(layer, keys, form) === 'dense' ||
      (dense === 'auto' && chooseDense(keys, this.#common.backend, k + recent + sink));
    // A window that reaches every key is dense attention.
    if (window !== undefined || isDense) return held.attendDense(rows);
    if (q.shape[1] > 1) {
      const { output, mask } = held.attend(rows);
      onMask?.(mask, layer);
      return output;
    }
    const before = held.mask;
    const output = held.decode(rows);
    if (held.mask && held.mask !== before) onMask?.(held.mask, layer);
    return output;
  }
}
