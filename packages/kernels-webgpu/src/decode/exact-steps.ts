// Steps of a layer that attend to every key, or to exactly the last ones: no search, no state.
import type { AttentionShape } from '@hip/mask-search';
import type { KvCache } from '../cache/kv-cache.ts';
import type { CacheView } from '../cache/view.ts';
import type { GpuCall } from '../dispatch/call.ts';
import { ALL_KEYS, decodeUniform, encodeDecode, type DecodeOptions } from './decode.ts';
import { encodeDecodeTogether } from './together.ts';
import type { Layer } from './layer.ts';
import { planDecode, type DecodePlan } from './plan.ts';
import type { SharedScratch } from './shared-scratch.ts';
import type { StepUniforms } from './step-uniforms.ts';
import type { StepTensors } from './tensors.ts';

/** Sequences that one dispatch serves: each has a uniform of its own, of the 12 that every device binds. */
export const MOST_TOGETHER = 8;

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

  /**
   * Adds the passes of one step of each of several sequences of a pool, of layers that are alike: as many dispatches as one takes.
   *
   * @param steps at most {@link MOST_TOGETHER}, whose page tables lie in one buffer
   */
  static encodeTogether(
    call: GpuCall,
    steps: readonly { readonly exact: ExactSteps; readonly uniforms: StepUniforms }[],
    tensors: StepTensors,
  ): void {
    const [{ exact: first }] = steps as readonly [(typeof steps)[number], ...(typeof steps)[number][]];
    const { pool, tablePlace } = first.#cache;
    first.#cache.views().forEach(({ k, v }, i) => {
      const { shape, options, plan } = first.#views[i]!;
      encodeDecodeTogether(
        call,
        { ...tensors, k, v, table: tablePlace.buffer, shift: pool.plan.pageShift },
        shape,
        plan,
        {
          softcap: options.softcap,
          parts: first.#scratch.take('parts of rows', steps.length * plan.partBytes),
          uniforms: steps.map(({ uniforms }) => uniforms.exact(i, 0)),
          append: tensors,
        },
      );
    });
  }

  /** What steps must share to be encoded together. */
  get tables(): GPUBuffer {
    return this.#cache.tablePlace.buffer;
  }

  /**
   * Adds a step's passes, which write the new token into the cache on the way.
   *
   * @param views that hold the new token, in place of the cache's
   */
  encode(call: GpuCall, tensors: StepTensors, uniforms: StepUniforms, views?: readonly CacheView[]): void {
    (views ?? this.#cache.views()).forEach(({ k, v, pages, keyRows }, i) => {
      const { shape, options } = this.#views[i]!;
      encodeDecode(call, { q: tensors.q, out: tensors.out, k, v, pages }, shape, undefined, {
        ...options,
        keyRows,
        ...(!views && { append: tensors }),
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
  const options = {
    scale,
    softcap,
    keyRows,
    queryHeads: heads,
    headFirst: firstKvHead * group,
    window,
    slots,
    pageFirst: cache.tablePlace.first,
  };
  // Pages or not, a pool's keys are one binding.
  const plan = planDecode({ shape, type: pool.type, limits, slots, sharedKeys: true, keyRows, paged: true });
  return { shape, options, plan };
}
