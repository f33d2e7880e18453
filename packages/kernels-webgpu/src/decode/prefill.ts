// Prefill of a chunk against a cache: envelopes, search and block-sparse attention, pool by pool, added to one call.
import { type AttentionShape, type HipConfig, type ScoreOptions } from '@hip/mask-search';
import { maskSizes } from '../attention/attend.ts';
import { encodeAttention } from '../attention/dispatch.ts';
import type { GpuMask } from '../attention/mask.ts';
import type { CacheEnvelopes } from '../cache/envelopes.ts';
import type { CacheMeans } from '../cache/means.ts';
import type { CacheView, KvCache } from '../cache/kv-cache.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { planSearch } from '../search/plan.ts';
import { encodeSearch } from '../search/search.ts';

export interface PrefillRequest {
  /** Holds the chunk's keys already. */
  readonly cache: KvCache;
  readonly config: HipConfig;
  readonly tensors: { readonly q: GpuTensor; readonly out: GpuTensor };
  /** Rows of q: the last tokens of the cache. */
  readonly tokens: number;
  readonly heads: number;
  readonly score: ScoreOptions;
  /** One per view of the cache. */
  readonly envelopes: readonly CacheEnvelopes[];
  /** The remainder's, one per view. */
  readonly means: readonly (CacheMeans | undefined)[];
}

/** Adds the passes. A cache out of order is gathered into scratch first, one copy per page. */
export function encodePrefill(
  call: GpuCall,
  { cache, config, tensors, tokens, heads, score, envelopes, means }: PrefillRequest,
): void {
  const { pool, length: keys } = cache;
  const { context, headDim, type } = pool;
  const group = heads / pool.kvHeads;
  const sizes = maskSizes({ batch: 1, queries: tokens, keys, heads, kvHeads: pool.kvHeads, headDim }, config);
  const scratch = (bytes: number, label: string): BufferRange => ({ buffer: call.scratch(bytes, label), size: bytes });
  const cells = sizes.maskHeads * sizes.queryBlocks;
  const mask: GpuMask = {
    ...sizes,
    starts: scratch(4 * cells * sizes.capacity, 'mask starts'),
    counts: scratch(4 * cells, 'mask counts'),
  };
  cache.views().forEach((view, i) => {
    const shape: AttentionShape = {
      batch: 1,
      queries: tokens,
      keys,
      heads: view.kvHeads * group,
      kvHeads: view.kvHeads,
      headDim,
    };
    const headFirst = view.firstKvHead * group;
    const request = {
      shape,
      config,
      type,
      profile: context.profile,
      limits: context.limits,
      keyRows: view.keyRows,
      queryHeads: heads,
      pageShift: view.pages?.shift,
      score,
    };
    const plan = planSearch(request);
    envelopes[i]!.update(call, { request }, view, keys);
    encodeSearch(call, plan, {
      q: tensors.q,
      k: view.k,
      pages: view.pages?.table,
      envelopes: envelopes[i]!,
      mask,
      headOffset: headFirst,
    });
    const known = means[i];
    known?.update(call, view, keys);
    const { k, v } = view.pages ? gather(call, cache, view, i) : view;
    encodeAttention(call, { q: tensors.q, k, v, out: tensors.out }, shape, mask, {
      ...score,
      queryHeads: heads,
      headFirst,
      ...(known && { means: { range: known.range, layout: known.layout } }),
    });
  });
}

/** Copies a view's pages in order of tokens. */
function gather(
  call: GpuCall,
  cache: KvCache,
  view: CacheView,
  index: number,
): { readonly k: GpuTensor; readonly v: GpuTensor } {
  const { pool } = cache;
  const { pageBytes } = pool.pools[index]!;
  const bytes = cache.pages.length * pageBytes;
  const [k, v] = [view.k, view.v].map((source) => {
    const buffer = call.scratch(bytes, 'gathered pages');
    cache.pages.forEach((page, i) =>
      call.copy(source.buffer, pool.planner.slotOf(page)! * pageBytes, buffer, i * pageBytes, pageBytes),
    );
    return { buffer, type: pool.type, length: source.length };
  }) as [GpuTensor, GpuTensor];
  return { k, v };
}
