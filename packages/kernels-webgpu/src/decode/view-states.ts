// What a layer that searches keeps per pool of its cache: plans of search and attention, summaries and means, what stages leave to later steps.
import type { AttentionShape, ScoreOptions } from '@hip/mask-search';
import { CacheEnvelopes } from '../cache/envelopes.ts';
import { CacheMeans } from '../cache/means.ts';
import type { CacheView } from '../cache/view.ts';
import type { ElementType, DeviceProfile } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';
import { capacityOf, planSearch, type SearchPlan } from '../search/plan.ts';
import { meansLayout } from '../remainder/layout.ts';
import type { DecodeOptions } from './decode.ts';
import type { Layer } from './layer.ts';
import { planDecode, type DecodePlan } from './plan.ts';
import type { SharedScratch } from './shared-scratch.ts';

/** Sizes of the cache that a view is of. */
export interface ViewSizes extends Pick<CacheView, 'kvHeads' | 'firstKvHead' | 'keyRows'> {
  readonly headDim: number;
  readonly type: ElementType;
  /** kv heads of all views. */
  readonly allKvHeads: number;
  readonly maxTokens: number;
  readonly pageShift: number | undefined;
}

export interface ViewPlan {
  /** Search of one query. */
  readonly plan: SearchPlan;
  /** Whether the cache can fill a block of the remainder. */
  readonly hasMeans: boolean;
  /** First query head of the view. */
  readonly headFirst: number;
  /** Attention of one query, and what it is called with. */
  readonly decode: DecodePlan;
  readonly options: DecodeOptions & ScoreOptions;
}

export interface ViewState extends ViewPlan {
  readonly view: CacheView;
  readonly envelopes: CacheEnvelopes;
  /** Of a configuration with a remainder. */
  readonly means: CacheMeans | undefined;
  readonly scratch: ReadonlyMap<string, BufferRange>;
}

/** Whether later steps read what a step leaves there: a stage's output serves until the stage runs again. */
export function outlivesStep(role: string): boolean {
  return /^(?:starts|counts)\//u.test(role);
}

/** Pure: a layer's search and attention over one view. */
export function planView(
  layer: Layer,
  { kvHeads, firstKvHead, keyRows, headDim, type, allKvHeads, maxTokens, pageShift }: ViewSizes,
  { profile, limits }: { readonly profile: DeviceProfile; readonly limits: DeviceLimits },
): ViewPlan {
  const { heads, scale, softcap, interval } = layer;
  const config = layer.stepConfig!;
  const { sink, window, blockK, remainder, shareHeads } = config;
  const group = heads / allKvHeads;
  const slots = sink + window + interval + capacityOf(config) * blockK;
  const shape: AttentionShape = {
    batch: 1,
    queries: 1,
    keys: maxTokens,
    heads: kvHeads * group,
    kvHeads,
    headDim,
  };
  const score = { scale, softcap };
  const plan = planSearch({ shape, config, type, profile, limits, keyRows, queryHeads: heads, pageShift, score });
  // A cache that never fills a block below its window has none.
  const hasMeans = remainder !== undefined && meansLayout(remainder, sink, maxTokens - window).baseBlocks > 0;
  const decode = planDecode({
    shape,
    type,
    limits,
    slots,
    sharedKeys: shareHeads,
    keyRows,
    paged: pageShift !== undefined,
    remainder: hasMeans,
  });
  const headFirst = firstKvHead * group;
  const options = { scale, softcap, keyRows, queryHeads: heads, headFirst, slots };
  return { plan, hasMeans, headFirst, decode, options };
}

/** Allocates what a planned view keeps. */
export function viewState(
  context: GpuContext,
  planned: ViewPlan,
  view: CacheView,
  maxTokens: number,
  shared: SharedScratch,
): ViewState {
  const { plan, hasMeans } = planned;
  const { shape, config, type } = plan.request;
  const { sink, window, remainder } = config;
  const means =
    hasMeans && remainder
      ? new CacheMeans({ context }, { sink, window, remainder }, { ...shape, type }, maxTokens)
      : undefined;
  const scratch = new Map(
    Object.entries(plan.scratch).map(([role, bytes]) => {
      if (!outlivesStep(role)) return [role, shared.take(role, bytes)] as const;
      const buffer = createBuffer(context, bytes, 0x80 | 0x08 | 0x04, role); // STORAGE | COPY_DST | COPY_SRC
      return [role, { buffer, size: bytes }] as const;
    }),
  );
  return { ...planned, view, envelopes: new CacheEnvelopes({ context }, plan, maxTokens), means, scratch };
}

/** Frees what is the view's own. */
export function destroyView({ envelopes, means, scratch }: ViewState): void {
  envelopes.destroy();
  means?.destroy();
  for (const [role, { buffer }] of scratch) if (outlivesStep(role)) buffer.destroy();
}

/** Bytes of the view's own buffers. */
export function viewBytes({ envelopes, means, scratch }: ViewState): number {
  let total = envelopes.bytes + (means?.bytes ?? 0);
  for (const [role, { buffer }] of scratch) if (outlivesStep(role)) total += buffer.size;
  return total;
}
