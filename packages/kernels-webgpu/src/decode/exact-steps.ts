// Steps of a layer that attend to every key, or to exactly the last ones: no search, no state.
import type { AttentionShape } from '@hip/mask-search';
import type { KvCache } from '../cache/kv-cache.ts';
import type { CacheView } from '../cache/view.ts';
import type { GpuCall } from '../dispatch/call.ts';
import { ALL_KEYS, decodeUniform, encodeDecode, type DecodeOptions } from './decode.ts';
import type { Layer } from './layer.ts';
import { planDecode, type DecodePlan } from './plan.ts';
import type { SharedScratch } from './shared-scratch.ts';
import type { StepUniforms } from './step-uniforms.ts';
import type { StepTensors } from './tensors.ts';

interface ExactView {
  readonly shape: AttentionShape;
  readonly options: DecodeOptions;
  readonly plan: DecodePlan;
}

export class ExactSteps {
  readonly #cache: KvCache;
  readonly #views: readonly ExactView[];
  readonly #scratch: SharedScratch;

  constructor(cache: KvCache, layer: Layer, scratch: SharedScratch) {
    this.#cache = cache;
    this.#scratch = scratch;
    const { pool } = cache;
    this.#views = cache.views().map((view) => exactView(layer, cache, view, pool.context.limits));
  }

  /** The uniforms of each view's dispatches. */
  blocks(): ArrayBuffer[][] {
    return this.#views.map(({ shape, options, plan }) =>
      plan.dispatches.map((dispatch) =>
        decodeUniform(shape, plan, dispatch, undefined, options, { keys: 1, window: options.window ?? ALL_KEYS }),
      ),
    );
  }

  /** Adds a step's passes, which write the new token into the cache on the way. */
  encode(call: GpuCall, tensors: StepTensors, uniforms: StepUniforms): void {
    this.#cache.views().forEach(({ k, v, pages }, i) => {
      const { shape, options } = this.#views[i]!;
      encodeDecode(call, { q: tensors.q, out: tensors.out, k, v, pages }, shape, undefined, {
        ...options,
        append: tensors,
        parts: (bytes) => this.#scratch.take('parts of rows', bytes),
        uniform: (dispatch) => uniforms.exact(i, dispatch),
      });
    });
  }
}

/** Keys that a layer's exact steps see at most. */
export function mostExactKeys({ config, window, denseBelow }: Layer, maxTokens: number): number {
  if (window !== undefined) return maxTokens;
  return config ? Math.min(maxTokens, Math.max(0, Math.floor(denseBelow.step))) : maxTokens;
}

function exactView(
  layer: Layer,
  cache: KvCache,
  { kvHeads, firstKvHead, keyRows }: CacheView,
  limits: Parameters<typeof planDecode>[0]['limits'],
): ExactView {
  const { pool } = cache;
  const { heads, window, scale, softcap } = layer;
  const group = heads / pool.kvHeads;
  const shape: AttentionShape = {
    batch: 1,
    queries: 1,
    keys: Math.max(1, mostExactKeys(layer, cache.maxTokens)),
    heads: kvHeads * group,
    kvHeads,
    headDim: pool.headDim,
  };
  const slots = window === undefined ? undefined : Math.min(window, cache.maxTokens);
  const options = { scale, softcap, keyRows, queryHeads: heads, headFirst: firstKvHead * group, window, slots };
  // Pages or not, a pool's keys are one binding.
  const plan = planDecode({ shape, type: pool.type, limits, slots, sharedKeys: true, keyRows, paged: true });
  return { shape, options, plan };
}
