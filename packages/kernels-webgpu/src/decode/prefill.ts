// Attention of a chunk's rows against a cache, pool by pool: everything, the sliding window, or what a search finds; added to one call.
import { maskLayout, type AttentionShape } from '@hip/mask-search';
import { maskSizes, scratchMask } from '../attention/attend.ts';
import { encodeAttention } from '../attention/dispatch.ts';
import { allocateMask, type GpuMask } from '../attention/mask.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import type { CacheView } from '../cache/view.ts';
import type { GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { planSearch } from '../search/plan.ts';
import { encodeSearch } from '../search/search.ts';
import { gather } from './gather.ts';
import { searches, type Layer } from './layer.ts';
import type { SearchedState } from './searched-state.ts';

export interface PrefillRequest {
  /** Has room for the chunk's keys, which passes before these write. */
  readonly cache: KvCache;
  readonly layer: Layer;
  /** Of a layer that searches. */
  readonly state: SearchedState | undefined;
  readonly tensors: { readonly q: GpuTensor; readonly out: GpuTensor };
  /** Rows of q: the last of `keys` tokens. */
  readonly tokens: number;
  readonly keys: number;
  /** The mask outlives the call. */
  readonly keeps: boolean;
  /** Keys and values in place of the cache's pages: token i is row i. */
  readonly views?: readonly CacheView[] | undefined;
}

/** Adds the passes. @returns the mask that they find, if it is kept */
export function encodePrefill(call: GpuCall, request: PrefillRequest): GpuMask | undefined {
  const { cache, layer, state, tokens, keys } = request;
  const { offload } = cache.pool;
  const gathers = isOnHost(request);
  const isSearched = searches(layer, keys, tokens);
  const mask = isSearched ? maskFor(call, request) : undefined;
  (request.views ?? cache.views()).forEach((view, i) => {
    const whole = (): CacheView => gather(call, cache, view, { index: i, first: 0, keys });
    // Pages that lie on the host are read once, for everything.
    const seen = gathers && layer.window === undefined ? whole() : view;
    if (isSearched || offload) state?.summarize(call, seen, i, keys);
    if (mask) attendSearched(call, request, { seen, index: i, mask, rows: () => (seen.pages ? whole() : seen) });
    else attendExactly(call, request, seen, i);
  });
  return request.keeps ? mask : undefined;
}

/** Whether pages may lie on the host that the rows read. */
function isOnHost({ cache, views }: PrefillRequest): boolean {
  return cache.pool.offload && !views;
}

/** Room for what the search finds, which all views write. */
function maskFor(call: GpuCall, { cache, layer, tokens, keys, keeps }: PrefillRequest): GpuMask {
  const { pool } = cache;
  const { kvHeads, headDim } = pool;
  const sizes = maskSizes({ batch: 1, queries: tokens, keys, heads: layer.heads, kvHeads, headDim }, layer.config!);
  return keeps ? allocateMask(pool.context, sizes) : scratchMask(call, sizes);
}

/** Attention to all keys, or to the last ones; only the pages that rows see are gathered. */
function attendExactly(call: GpuCall, request: PrefillRequest, view: CacheView, index: number): void {
  const { cache, layer, tensors, tokens, keys } = request;
  const { headDim, pageTokens, kvHeads: allKvHeads } = cache.pool;
  const slidesOnHost = isOnHost(request) && layer.window !== undefined;
  const { heads, window, scale, softcap } = layer;
  const group = heads / allKvHeads;
  const slides = window !== undefined && window < keys;
  const oldest = slides ? Math.max(0, keys - tokens - window + 1) : 0;
  const isGathered = view.pages !== undefined || slidesOnHost;
  const first = isGathered ? Math.floor(oldest / pageTokens) * pageTokens : 0;
  const { k, v } = isGathered ? gather(call, cache, view, { index, first, keys }) : view;
  const shape: AttentionShape = {
    batch: 1,
    queries: tokens,
    keys: keys - first,
    heads: view.kvHeads * group,
    kvHeads: view.kvHeads,
    headDim,
  };
  const options = { scale, softcap, queryHeads: heads, headFirst: view.firstKvHead * group };
  encodeAttention(call, { ...tensors, k, v }, shape, slides ? windowMask(call, shape, window) : undefined, options);
}

/** No blocks and no sinks: rows attend to exactly their last keys. */
function windowMask(call: GpuCall, shape: AttentionShape, window: number): GpuMask {
  const config = { blockQ: WINDOW_ROWS, blockK: 1, sink: 0, window, causal: true, shareHeads: true };
  const mask = scratchMask(call, maskLayout(shape, config, 1));
  call.clear(mask.counts);
  return mask;
}

/** Rows of a query block of a sliding window: they share the tiles of keys that are read. */
const WINDOW_ROWS = 64;

/** Searches, and attends to what was found. */
function attendSearched(
  call: GpuCall,
  { cache, layer, state, tensors, tokens, keys }: PrefillRequest,
  {
    seen,
    index,
    mask,
    rows,
  }: {
    readonly seen: CacheView;
    readonly index: number;
    readonly mask: GpuMask;
    readonly rows: () => Pick<CacheView, 'k' | 'v'>;
  },
): void {
  const { pool } = cache;
  const { context, headDim, type } = pool;
  const { heads, scale, softcap } = layer;
  const config = layer.config!;
  const group = heads / pool.kvHeads;
  const { kvHeads } = seen;
  const whole = { batch: 1, queries: tokens, keys, heads, kvHeads: pool.kvHeads, headDim };
  const shape: AttentionShape = { ...whole, heads: kvHeads * group, kvHeads };
  const headFirst = seen.firstKvHead * group;
  const { envelopes, means } = state!.views[index]!;
  const plan = planSearch({
    shape,
    config,
    type,
    profile: context.profile,
    limits: context.limits,
    keyRows: seen.keyRows,
    queryHeads: heads,
    pageShift: seen.pages?.shift,
    score: { scale, softcap },
  });
  const pages = seen.pages?.table;
  encodeSearch(call, plan, { q: tensors.q, k: seen.k, pages, envelopes, mask, headOffset: headFirst });
  const { k, v } = rows();
  encodeAttention(call, { ...tensors, k, v }, shape, mask, {
    scale,
    softcap,
    queryHeads: heads,
    headFirst,
    ...(means && { means: { range: means.range, layout: means.layout } }),
  });
}
