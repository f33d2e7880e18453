// ModelPool: the pages of all layers of a model, which its conversations share, and scratch that serves every layer of each of them.
import { HipError } from '@hip/mask-search';
import { PAGE_TOKENS } from '../cache/page-tokens.ts';
import { PageStaging } from '../cache/host-pages.ts';
import { KvCache } from '../cache/kv-cache.ts';
import { KvPool } from '../cache/kv-pool.ts';
import type { Sliding } from '../cache/sliding.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { resolveLayer, type Layer } from './layer.ts';
import { LayerAttention } from './layer-attention.ts';
import { CONVERSATIONS, layerPages } from './layer-pages.ts';
import { longestOf, planModelPool, type ModelPoolOptions } from './model-plan.ts';
import { ModelSession } from './model-session.ts';
import { SharedScratch } from './shared-scratch.ts';

interface PooledLayer {
  readonly layer: Layer;
  readonly pool: KvPool;
  readonly sliding: Sliding | undefined;
  readonly kind: string;
}

/**
 * Keys and values of a whole model. Conversations share pages when forked, and each layer's attention is passes of a call of the
 * caller's, so that a token is one submit.
 *
 * @example
 * ```ts
 * const layers = Array.from({ length: 28 }, () => ({ heads: 16, kvHeads: 8, headDim: 128 }));
 * const pool = await ModelPool.create(context, { layers, tokens: 32768 });
 * const session = pool.createSession();
 * using turn = session.begin(512); // a chunk of a prompt
 * const call = new GpuCall(context);
 * for (const layer of layers.keys()) turn.encode(call, layer, { q, k, v, out }); // between the layer's other passes
 * turn.submit(call);
 * turn.commit();
 * ```
 */
export class ModelPool implements Disposable {
  readonly context: GpuContext;
  readonly offload: boolean;
  readonly maxTokens: number;
  readonly #layers: readonly PooledLayer[];
  readonly #scratch: SharedScratch;
  readonly #conversations: number;

  /** @throws HipError `invalid-config`, `invalid-shape`, `unsupported`; what the GPU refuses, by `context.settled()` */
  constructor(context: GpuContext, options: ModelPoolOptions) {
    const { layers, type = 'f16', pageTokens = PAGE_TOKENS, offload = false } = options;
    if (layers.length === 0)
      throw new HipError('invalid-config', 'layers is empty: give one object a layer', { name: 'layers' });
    // Everything is checked before anything is allocated.
    planModelPool(options, context);
    this.context = context;
    this.offload = offload;
    this.maxTokens = longestOf(options);
    this.#conversations = options.conversations ?? CONVERSATIONS;
    this.#scratch = new SharedScratch(context);
    const staging = new PageStaging();
    this.#layers = layers.map((given) => {
      const { kvHeads, headDim } = given;
      const { tokens, offload: own, sliding } = layerPages(given, options);
      const pool = new KvPool(context, { kvHeads, headDim, type, pageTokens, tokens, offload: own, staging });
      const layer = resolveLayer(given, { kvHeads, offload: own, pools: pool.pools.length });
      return { layer, pool, sliding, kind: JSON.stringify([kvHeads, headDim, layer]) };
    });
  }

  /** A pool whose memory the device has granted. @throws HipError `out-of-memory` where it has not; see the constructor */
  static async create(context: GpuContext, options: ModelPoolOptions): Promise<ModelPool> {
    await context.settled();
    const pool = new ModelPool(context, options);
    try {
      await context.settled();
      return pool;
    } catch (error) {
      pool.destroy();
      throw error;
    }
  }

  /** Layers. */
  get layers(): number {
    return this.#layers.length;
  }

  /** Bytes of pages and scratch on the device. */
  get bytes(): number {
    return this.#layers.reduce((total, { pool }) => total + pool.plan.bytes, 0) + this.#scratch.bytes;
  }

  /** Bytes of pages that the host holds. */
  get hostBytes(): number {
    return this.#layers.reduce((total, { pool }) => total + pool.hostBytes, 0);
  }

  /** Tokens for which the device has free pages, in layers whose windows do not slide; in all layers where every one does. */
  get freeTokens(): number {
    const whole = this.#layers.filter(({ sliding }) => !Number.isFinite(sliding?.keep ?? Infinity));
    const free = (whole.length > 0 ? whole : this.#layers).map(
      ({ pool: { planner, pageTokens } }) => (planner.slots - planner.resident) * pageTokens,
    );
    return Math.min(...free);
  }

  /** Conversations whose windows have room; Infinity where no window slides. */
  get conversations(): number {
    return this.kept.some((tokens) => tokens !== null) ? this.#conversations : Infinity;
  }

  /** Tokens that each layer keeps of a conversation; null: all. Sessions are restored where these are equal. */
  get kept(): readonly (number | null)[] {
    return this.#layers.map(({ sliding }) => (sliding && Number.isFinite(sliding.keep) ? sliding.keep : null));
  }

  /** An empty conversation. @throws HipError `out-of-memory`, `device-lost` */
  createSession(): ModelSession {
    const layers = this.#layers.map(
      ({ layer, pool, sliding }) =>
        new LayerAttention(new KvCache(pool, { maxTokens: this.maxTokens, sliding }), layer, this.#scratch),
    );
    return new ModelSession(this.#parts(layers));
  }

  /** Frees all pages: sessions cannot be used afterwards. */
  destroy(): void {
    for (const { pool } of this.#layers) pool.destroy();
    this.#scratch[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #parts(layers: readonly LayerAttention[]): ConstructorParameters<typeof ModelSession>[0] {
    return {
      context: this.context,
      offload: this.offload,
      layers,
      kinds: this.#layers.map(({ kind }) => kind),
      fork: (parts) => {
        using call = new GpuCall(this.context);
        const forked = parts.map((layer) => layer.fork(call));
        call.submit();
        return new ModelSession(this.#parts(forked));
      },
    };
  }
}
