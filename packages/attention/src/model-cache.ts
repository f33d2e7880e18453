// The cache and the attention of a whole model in one: keys and values stay where the kernels read them.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import { checkTensors } from './attention.ts';
import { requirePrepared } from './backend.ts';
import { checkAppended, checkMaxTokens, type KeysAndValues } from './cache.ts';
import { CpuLayer } from './cpu-layer.ts';
import { layerConfigs, refuseForeign, type LayerContext, type ModelAttention } from './model.ts';
import { checkLength, checkPass } from './pass.ts';
import type { LayerForm, ModelCacheOptions, ResidentLayer } from './resident-layer.ts';
import { ownerOf, setOwner } from './sequence.ts';
import { WebgpuLayer } from './webgpu-layer.ts';

/** What {@link hipModelCache} makes: pass it as a model's `cache`, and its `attention` as the model's `attention`. */
export interface ModelCache extends Disposable {
  /** Tokens of the layer that holds fewest: all layers agree between forward passes. */
  readonly length: number;
  /** Bytes of all keys and values. */
  readonly bytes: number;
  /** HiP attention over this cache; good for nothing without it. */
  readonly attention: ModelAttention;
  /**
   * Takes the keys and values of a layer's next tokens, k and v [B, T, Hkv, d]. Returns what `attention` wants to be called with; the
   * caller disposes it (or runs inside tf.tidy).
   *
   * @throws HipError `invalid-shape`, `unsupported` (not float32; a layer's last tokens were never attended from: `attention` was not
   * passed; or the pass before did not reach every layer), `out-of-memory` beyond maxTokens
   */
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues;
  /**
   * Keeps the first `length` tokens of every layer: takes back a pass that failed, or a turn of a conversation, with the masks that were
   * searched since. The memory stays the cache's own, but for 0.
   *
   * @throws HipError `invalid-config` unless `length` is an integer from 0 to {@link length}
   */
  truncate(length: number): void;
  /** Frees all layers; appending afterwards starts anew. */
  dispose(): void;
}

/**
 * `hipModelAttention` with a key/value cache that the kernels read in place. Keys and values stay in the kernels' own memory, on webgpu
 * in pages on the GPU: a decoded token costs what is attended, not a copy of everything before it (`KvCache` hands tfjs whole
 * tensors). For inference: no gradient. One instance serves one sequence (or a batch of equal lengths).
 *
 * A layer whose attention throws is as it was before; a pass that throws after some layers is taken back by `truncate` (supernet's
 * models do), else the next one is refused.
 *
 * @throws HipError `unsupported` before `prepareAttention()`, `invalid-config`; from `attention` also `unsupported` on a padding mask,
 * on a model that is not causal, and once its runtime was closed
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { hipModelCache, prepareAttention } from '@hip/attention';
 *
 * await tf.setBackend('cpu');
 * using prepared = await prepareAttention();
 * using cache = hipModelCache({ config: { k: 256 } });
 * const { attention } = cache; // model.forward(inputs, { cache, attention }), or a layer's part of it:
 * const x = (heads: number, tokens: number) => tf.randomNormal([1, tokens, heads, 32]) as tf.Tensor4D;
 * for (const tokens of [4096, 1, 1]) {
 *   const { k, v } = cache.append(0, x(2, tokens), x(2, tokens));
 *   attention(x(4, tokens), k, v, { layer: 0, causal: true, scale: 32 ** -0.5 });
 * }
 * console.log([cache.length, prepared.backend]); // => [ 4098, 'cpu' ]
 * ```
 */
export function hipModelCache(options: ModelCacheOptions = {}): ModelCache {
  const { backend, cpu, gpu } = requirePrepared();
  const { type = 'f32', maxTokens } = options;
  if (type !== 'f32' && type !== 'f16') {
    throw new HipError('invalid-config', `type is ${String(type)}: give 'f32' or 'f16'`, { name: 'type', value: type });
  }
  // Now, not at the first token.
  if (maxTokens !== undefined) checkMaxTokens(maxTokens);
  const configs = layerConfigs(options);
  const common = { options, configs, backend };
  return new ResidentCache((form) => (gpu ? new WebgpuLayer(gpu, form, common) : new CpuLayer(cpu!, form, common)));
}

interface Layer {
  readonly held: ResidentLayer;
  readonly shape: LayerForm['shape'];
  readonly scale: number;
}

class ResidentCache implements ModelCache {
  readonly #create: (form: LayerForm) => ResidentLayer;
  readonly #layers = new Map<number, Layer>();
  /** Layers whose newest tokens wait for the attention that stores them. */
  readonly #waiting = new Set<number>();

  constructor(create: (form: LayerForm) => ResidentLayer) {
    this.#create = create;
  }

  get length(): number {
    return this.#layers.size === 0 ? 0 : Math.min(...this.#lengths().values());
  }

  get bytes(): number {
    return [...this.#layers.values()].reduce((sum, { held }) => sum + held.bytes, 0);
  }

  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): KeysAndValues {
    checkTensors({ k, v });
    const known = this.#layers.get(layer);
    const before = known && [known.shape.batch, known.held.length, known.shape.kvHeads, known.shape.headDim];
    checkAppended(layer, { k, v }, before);
    if (this.#waiting.has(layer)) {
      throw new HipError(
        'unsupported',
        `layer ${layer} got tokens before those of the last call were attended from: pass attention: cache.attention where you pass the cache`,
        { layer },
      );
    }
    checkPass(layer, k.shape[1], this.#lengths());
    const given = { k: k.clone(), v: v.clone() };
    setOwner(given.k, this);
    this.#waiting.add(layer);
    return given;
  }

  truncate(length: number): void {
    checkLength(length, this.length);
    this.#waiting.clear();
    if (length === 0) this.dispose();
    for (const { held } of this.#layers.values()) held.truncate(length);
  }

  readonly attention: ModelAttention = (q, k, v, context) => {
    const { layer, causal } = context;
    if ((ownerOf(k) ?? this) !== this) {
      throw new HipError('unsupported', `k of layer ${layer} is another cache's: pass the attention of that cache`, {
        layer,
      });
    }
    if (!this.#waiting.delete(layer)) {
      throw new HipError('unsupported', `layer ${layer} has no new tokens: append them to this cache first`, { layer });
    }
    // What is refused from here on is not stored: the layer can go on.
    checkTensors({ q, k, v });
    refuseForeign(context);
    if (!causal) throw new HipError('unsupported', 'a cache serves causal models: run this one without', { layer });
    const known = this.#layerOf(q, k, context);
    try {
      return known.held.attend(q, k, v, context);
    } catch (error) {
      if (known.held.length === 0) this.#drop(layer, known);
      throw error;
    }
  };

  dispose(): void {
    for (const { held } of this.#layers.values()) held.dispose();
    this.#layers.clear();
    this.#waiting.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #lengths(): Map<number, number> {
    return new Map(Array.from(this.#layers, ([layer, { held }]) => [layer, held.length]));
  }

  #drop(layer: number, { held }: Layer): void {
    this.#layers.delete(layer);
    held.dispose();
  }

  #layerOf(q: tf.Tensor4D, k: tf.Tensor4D, context: LayerContext): Layer {
    const { layer, scale } = context;
    const [batch, , heads, headDim] = q.shape;
    const shape = { batch, heads, kvHeads: k.shape[2], headDim };
    const known = this.#layers.get(layer);
    if (!known) {
      const created = { held: this.#create({ shape, context }), shape, scale };
      this.#layers.set(layer, created);
      return created;
    }
    const isSame = known.shape.batch === batch && known.shape.heads === heads && known.shape.headDim === headDim;
    if (!isSame || q.rank !== 4) {
      throw new HipError(
        'invalid-shape',
        `q is [${q.shape.join()}]: give [${known.shape.batch}, T, ${known.shape.heads}, ${known.shape.headDim}] as before`,
        { layer, q: q.shape },
      );
    }
    if (known.scale !== scale) {
      throw new HipError('invalid-config', `scale is ${scale}, and was ${known.scale} when the layer began: keep it`, {
        name: 'scale',
        value: scale,
        layer,
      });
    }
    return known;
  }
}
