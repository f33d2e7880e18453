// One layer's keys and values in a sequence, and what its newest rows attend to: its window, everything, or what HiP selects.
import type { ModelConfig } from '@hip/checkpoints';
import type { CpuRuntime, KeyValueCache } from '@hip/kernels-cpu';
import { denseMask, layerConfig, type HipConfig } from '@hip/mask-search';
import type { LayerShape } from './layers.ts';
import type { ResolvedAttention } from './options.ts';

/** How one layer attends, by the number of keys. */
export class LayerAttention {
  readonly #window: number;
  readonly #denseBelow: ResolvedAttention['denseBelow'];
  /** Undefined: dense at any length. */
  readonly config: HipConfig | undefined;
  /** Keys up to which the layer is dense whatever pays. */
  readonly #exactTokens: number;

  /** @throws HipError `invalid-config` */
  constructor({ layer, window }: LayerShape, { config, denseBelow }: ResolvedAttention) {
    this.#window = window;
    const longest = config && window === 0 ? layerConfig(config, layer, Infinity) : 'dense';
    this.config = longest === 'dense' ? undefined : longest;
    // Where HiP keeps every key anyway there is nothing to search.
    const kept = this.config ? this.config.k + this.config.window + this.config.sink : 0;
    this.#denseBelow = denseBelow;
    const isDense = config && this.config && layerConfig(config, layer) === 'dense';
    this.#exactTokens = Math.max(kept, isDense ? (config.denseTokens ?? Infinity) : 0);
  }

  kind(keys: number, queries: number): 'window' | 'dense' | 'hip' {
    if (this.#window > 0 && this.#window < keys) return 'window';
    const { rows, step } = this.#denseBelow;
    if (!this.config || keys <= Math.max(queries === 1 ? step : rows, this.#exactTokens)) return 'dense';
    return 'hip';
  }

  get window(): number {
    return this.#window;
  }
}

/** Keys and values of one layer of one sequence. */
export class LayerCache implements Disposable {
  readonly #shape: LayerShape;
  readonly #attention: LayerAttention;
  readonly #cache: KeyValueCache;

  /** @throws HipError `out-of-memory` */
  constructor(shape: LayerShape, attention: LayerAttention, cache: KeyValueCache) {
    this.#shape = shape;
    this.#attention = attention;
    this.#cache = cache;
  }

  static create(
    cpu: CpuRuntime,
    { attentionScale: scale, attentionSoftcap: softcap }: ModelConfig,
    shape: LayerShape,
    attention: LayerAttention,
    type: 'f16' | 'f32',
  ): LayerCache {
    const { heads, kvHeads, headDim } = shape;
    const cache = cpu.createCache({ heads, kvHeads, headDim, type, config: attention.config ?? {}, scale, softcap });
    return new LayerCache(shape, attention, cache);
  }

  get length(): number {
    return this.#cache.length;
  }

  /** Appends k, v [rows, kvHeads, headDim] and attends with q [rows, heads, headDim]. */
  step(q: Float32Array, k: Float32Array, v: Float32Array): Float32Array {
    const cache = this.#cache;
    cache.append(k, v);
    const { heads, kvHeads, headDim } = this.#shape;
    const keys = cache.length;
    const queries = q.length / (heads * headDim);
    switch (this.#attention.kind(keys, queries)) {
      case 'window': {
        const mask = denseMask({ batch: 1, queries, keys, heads, kvHeads, headDim }, true);
        return cache.attendMasked(q, { ...mask, window: this.#attention.window });
      }
      case 'dense':
        return cache.attendDense(q);
      case 'hip':
        return queries === 1 ? cache.decode(q) : cache.attend(q).output;
    }
  }

  truncate(length: number): void {
    this.#cache.truncate(length);
  }

  /** @throws HipError `out-of-memory` */
  fork(): LayerCache {
    return new LayerCache(this.#shape, this.#attention, this.#cache.fork());
  }

  [Symbol.dispose](): void {
    this.#cache.dispose();
  }
}
