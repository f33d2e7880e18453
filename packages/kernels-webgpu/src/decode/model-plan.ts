// Bytes of a model's keys, values and what searches keep of them, before anything is allocated. Pure.
import { HipError, maskLayout } from '@hip/mask-search';
import { PAGE_TOKENS } from '../cache/page-tokens.ts';
import { planPools, type CachePlan } from '../cache/pools.ts';
import type { DeviceProfile, ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import { pooledBytes } from '../dispatch/pool.ts';
import { limitError } from '../errors/gpu-errors.ts';
import { meansBytes, meansLayout, mostPseudoKeys } from '../remainder/layout.ts';
import { pseudoWords } from '../remainder/pseudo-code.ts';
import { capacityOf, envelopeBytes, envelopeRows, planSearch } from '../search/plan.ts';
import { resolveLayer, type Layer, type LayerOptions } from './layer.ts';
import { layerPages } from './layer-pages.ts';
import { outlivesStep, planView, type ViewPlan } from './view-states.ts';

/** A layer of a model: how it attends, and its keys and values. */
export interface ModelLayer extends LayerOptions {
  readonly kvHeads: number;
  readonly headDim: number;
}

export interface ModelPoolOptions {
  readonly layers: readonly ModelLayer[];
  /** Tokens on the device at once, of all conversations. */
  readonly tokens: number;
  /** Longest conversation. @defaultValue `tokens`, 16 times as many with offload */
  readonly maxTokens?: number | undefined;
  /** Of keys and values, queries and outputs. @defaultValue 'f16' */
  readonly type?: ElementType | undefined;
  /** Tokens of a page; a power of two. @defaultValue 256 */
  readonly pageTokens?: number | undefined;
  /** Full pages get a host copy and leave the device when room is needed. @defaultValue false */
  readonly offload?: boolean | undefined;
  /** Conversations for whose windows layers that slide have room, at most as for `tokens`. @defaultValue 8 */
  readonly conversations?: number | undefined;
  /** Tokens behind a window that stay all the same: a cut back by so many needs nothing computed anew. @defaultValue 512 */
  readonly spareTokens?: number | undefined;
}

/** What a plan is for, besides. */
export interface ModelPlanOptions extends ModelPoolOptions {
  /** Tokens of a chunk, for its scratch. @defaultValue none */
  readonly chunkTokens?: number | undefined;
}

/** Bytes on the device. */
export interface ModelPoolPlan {
  /** Keys and values of all conversations. */
  readonly pages: number;
  /** What each conversation keeps for its searches. */
  readonly perSession: number;
  /** Scratch of a chunk of `chunkTokens` tokens at the end of the longest conversation, which serves all layers and conversations. */
  readonly chunk: number;
  /** Longest conversation that this is for. */
  readonly maxTokens: number;
}

/** A layer, its pages, and its search over each of them. */
export interface PlannedLayer {
  readonly layer: Layer;
  readonly pools: CachePlan;
  readonly views: readonly ViewPlan[];
}

export function longestOf({ tokens, maxTokens, offload = false, pageTokens = PAGE_TOKENS }: ModelPoolOptions): number {
  return maxTokens ?? Math.ceil(tokens / pageTokens) * pageTokens * (offload ? 16 : 1);
}

/**
 * Bytes that a {@link ModelPool} and each of its sessions take, and a chunk while it runs.
 *
 * @throws HipError `invalid-config`, `invalid-shape`, `unsupported` where a layer's pages do not fit the device's bindings
 *
 * @example
 * ```ts
 * const layers = Array.from({ length: 28 }, () => ({ heads: 16, kvHeads: 8, headDim: 128 }));
 * const { pages, perSession } = planModelPool({ layers, tokens: 32768 }, context);
 * ```
 */
export function planModelPool(
  options: ModelPlanOptions,
  device: { readonly profile: DeviceProfile; readonly limits: DeviceLimits },
): ModelPoolPlan {
  const maxTokens = longestOf(options);
  const { chunkTokens = 0 } = options;
  let [pages, perSession, chunk] = [0, 0, 0];
  const known = new Map<string, { readonly pages: number; readonly perSession: number }>();
  for (const given of options.layers) {
    const name = JSON.stringify(given);
    let bytes = known.get(name);
    if (!bytes) {
      const planned = planLayer(given, options, device);
      bytes = { pages: planned.pools.bytes, perSession: sessionBytes(planned, maxTokens) };
      if (chunkTokens > 0)
        chunk = Math.max(chunk, chunkBytes(planned, Math.min(chunkTokens, maxTokens), options, device));
      known.set(name, bytes);
    }
    pages += bytes.pages;
    perSession += bytes.perSession + 4 * Math.ceil(maxTokens / (options.pageTokens ?? PAGE_TOKENS));
  }
  return { pages, perSession, chunk, maxTokens };
}

function planLayer(
  given: ModelLayer,
  options: ModelPoolOptions,
  device: { readonly profile: DeviceProfile; readonly limits: DeviceLimits },
): PlannedLayer {
  const { type = 'f16', pageTokens = PAGE_TOKENS } = options;
  const { tokens, offload } = layerPages(given, options);
  const { kvHeads, headDim } = given;
  const maxTokens = longestOf(options);
  const pools = planPools({ kvHeads, headDim, type, pageTokens, tokens, limits: device.limits });
  const layer = resolveLayer(given, { kvHeads, offload, pools: pools.pools.length });
  if (offload) checkOffload(layer, pools, { maxTokens, pageTokens, tokens, limits: device.limits });
  const views = layer.config
    ? pools.pools.map(({ heads, firstHead }) =>
        planView(
          layer,
          {
            kvHeads: heads,
            firstKvHead: firstHead,
            keyRows: pools.slots * pageTokens,
            headDim,
            type,
            allKvHeads: kvHeads,
            maxTokens,
            pageShift: undefined,
          },
          device,
        ),
      )
    : [];
  return { layer, pools, views };
}

/** Whether pages on the host can serve at all. @throws HipError `invalid-config`, `unsupported` */
function checkOffload(
  { stepConfig: config, interval }: Layer,
  { pools, slots }: CachePlan,
  {
    maxTokens,
    pageTokens,
    tokens,
    limits,
  }: {
    readonly maxTokens: number;
    readonly pageTokens: number;
    readonly tokens: number;
    readonly limits: Pick<DeviceLimits, 'maxBufferSize'>;
  },
): void {
  for (const { pageBytes } of pools) {
    const bytes = Math.ceil(maxTokens / pageTokens) * pageBytes;
    if (bytes > limits.maxBufferSize)
      throw limitError(
        'maxBufferSize',
        bytes,
        limits.maxBufferSize,
        'use a smaller maxTokens: a layer of the longest conversation lies in one buffer while it is computed',
      );
  }
  if (!config) return;
  // What a step reads before it knows which pages it wants: tokens that no summary or block of means has taken in yet.
  const blocks = [...(config.stages ?? []).map(({ chunk }) => chunk), config.remainder?.block ?? 0];
  const recent = config.window + 2 * Math.max(...blocks) + interval + 1;
  const least = Math.ceil(recent / pageTokens) + 2;
  if (slots < least)
    throw new HipError(
      'invalid-config',
      `tokens is ${tokens}: a step reads the newest ${recent} keys, so with pages of ${pageTokens} give at least ${least * pageTokens}`,
      { name: 'tokens', value: tokens },
    );
}

/** What one conversation keeps of one layer. */
function sessionBytes({ layer, views }: PlannedLayer, maxTokens: number): number {
  const config = layer.stepConfig;
  if (!config) return 0;
  const { maskHeads } = maskLayout(
    { batch: 1, queries: 1, keys: maxTokens, heads: layer.heads },
    config,
    capacityOf(config),
  );
  let bytes = 4 * maskHeads * (capacityOf(config) + 1);
  for (const { plan, hasMeans } of views) {
    const { shape } = plan.request;
    for (const [role, size] of Object.entries(plan.scratch)) if (outlivesStep(role)) bytes += size;
    for (const { chunk, store } of plan.envelopes)
      bytes += envelopeBytes(shape, Math.max(1, envelopeRows(maxTokens, config.sink, chunk)), store);
    if (!hasMeans || !config.remainder) continue;
    const layout = meansLayout(config.remainder, config.sink, maxTokens - config.window);
    bytes += meansBytes(shape, layout, plan.request.type) + 8 * maskHeads * pseudoWords(mostPseudoKeys(layout));
  }
  return bytes;
}

/** Scratch of a layer's chunk: what its search takes, its mask, and its pages side by side where they do not lie so. */
function chunkBytes(
  { layer, pools, views }: PlannedLayer,
  tokens: number,
  given: ModelPoolOptions,
  { profile, limits }: { readonly profile: DeviceProfile; readonly limits: DeviceLimits },
): number {
  const { pageTokens = PAGE_TOKENS, offload = false } = given;
  const maxTokens = longestOf(given);
  // Before rows of a layer that slides lies its window, in pages.
  const { sliding } = layerPages(layer, given);
  const slides = !offload && sliding && Number.isFinite(sliding.keep);
  const seen = slides ? Math.min(maxTokens, tokens + sliding.window + 2 * pageTokens) : maxTokens;
  const pages = Math.ceil(seen / pageTokens);
  const gathered = pools.pools.reduce((most, { pageBytes }) => Math.max(most, pageBytes), 0);
  const all = pools.pools.reduce((sum, { pageBytes }) => sum + pageBytes, 0);
  let bytes = offload ? 2 * pages * all : 2 * pooledBytes(pages * gathered);
  const { config } = layer;
  if (!config) return bytes;
  const shape = { batch: 1, queries: tokens, keys: maxTokens };
  const { maskHeads, queryBlocks, capacity } = maskLayout({ ...shape, heads: layer.heads }, config, capacityOf(config));
  bytes += pooledBytes(4 * maskHeads * queryBlocks * capacity) + pooledBytes(4 * maskHeads * queryBlocks);
  for (const { plan } of views.slice(0, 1)) {
    const { request } = plan;
    const search = planSearch({ ...request, config, shape: { ...request.shape, ...shape }, profile, limits });
    for (const size of Object.values(search.scratch)) bytes += pooledBytes(size);
    if (!config.remainder) continue;
    const most = mostPseudoKeys(meansLayout(config.remainder, config.sink, maxTokens - config.window));
    bytes += pooledBytes(8 * maskHeads * queryBlocks * pseudoWords(most));
  }
  return bytes;
}
