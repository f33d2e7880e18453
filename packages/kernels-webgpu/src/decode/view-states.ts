// What a session keeps per pool of its cache: plans of search and attention, envelopes, scratch that outlives a step.
import type { AttentionShape, HipConfig, ScoreOptions } from '@hip/mask-search';
import { CacheEnvelopes } from '../cache/envelopes.ts';
import type { CacheView, KvCache } from '../cache/kv-cache.ts';
import type { BufferRange } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import { CacheMeans } from '../cache/means.ts';
import { capacityOf, planSearch, type SearchPlan } from '../search/plan.ts';
import { meansLayout } from '../remainder/layout.ts';
import type { DecodeOptions } from './decode.ts';
import { planDecode, type DecodePlan } from './plan.ts';

export interface ViewState {
  readonly view: CacheView;
  /** Search of one query. */
  readonly plan: SearchPlan;
  readonly envelopes: CacheEnvelopes;
  /** Of a configuration with a remainder. */
  readonly means: CacheMeans | undefined;
  /** First query head of the view. */
  readonly headFirst: number;
  readonly scratch: ReadonlyMap<string, BufferRange>;
  /** Attention of one query, and what it is called with. */
  readonly decode: DecodePlan;
  readonly options: DecodeOptions;
}

export interface ViewRequest extends ScoreOptions {
  readonly cache: KvCache;
  readonly config: HipConfig;
  /** Query heads. */
  readonly heads: number;
  /** Steps by which the window can grow. */
  readonly interval: number;
}

/** One per pool. */
export function viewStates({ cache, config, heads, interval, scale, softcap }: ViewRequest): ViewState[] {
  const { pool } = cache;
  const { context, headDim, type } = pool;
  const { profile, limits } = context;
  const { sink, window, blockK, remainder } = config;
  const group = heads / pool.kvHeads;
  const slots = sink + window + interval + capacityOf(config) * blockK;
  return cache.views().map((view) => {
    const { kvHeads, keyRows, pages } = view;
    const shape: AttentionShape = {
      batch: 1,
      queries: 1,
      keys: cache.maxTokens,
      heads: kvHeads * group,
      kvHeads,
      headDim,
    };
    const plan = planSearch({
      shape,
      config,
      type,
      profile,
      limits,
      keyRows,
      queryHeads: heads,
      pageShift: pages?.shift,
      score: { scale, softcap },
    });
    // A cache that never fills a block below its window has none.
    const hasMeans = remainder !== undefined && meansLayout(remainder, sink, cache.maxTokens - window).baseBlocks > 0;
    const means = hasMeans
      ? new CacheMeans({ context }, { sink, window, remainder }, shape, cache.maxTokens)
      : undefined;
    const scratch = new Map(
      Object.entries(plan.scratch).map(([role, bytes]) => {
        const buffer = createBuffer(context, bytes, 0x80 | 0x08 | 0x04, role); // STORAGE | COPY_DST | COPY_SRC
        return [role, { buffer, size: bytes }] as const;
      }),
    );
    const decode = planDecode({
      shape,
      type,
      limits,
      slots,
      sharedKeys: config.shareHeads,
      keyRows,
      paged: pages !== undefined,
      remainder: hasMeans,
    });
    const headFirst = view.firstKvHead * group;
    const options = { scale, softcap, keyRows, queryHeads: heads, headFirst, slots };
    return {
      view,
      plan,
      envelopes: new CacheEnvelopes({ context }, plan, cache.maxTokens),
      means,
      headFirst,
      scratch,
      decode,
      options,
    };
  });
}
