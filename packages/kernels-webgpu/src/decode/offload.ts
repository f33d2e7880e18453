// Which pages a decode step will read, when cold pages lie on the host: found from the survivors of the stages that read envelopes only.
import type { HipConfig } from '@hip/mask-search';
import type { GpuMask } from '../attention/mask.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import type { BufferRange } from '../dispatch/call.ts';
import { readBytes } from '../dispatch/tensor.ts';

/** First stage that reads keys rather than summaries; the number of stages when none does, 0 for the tree search. */
export function firstKeyStage({ stages }: Pick<HipConfig, 'stages'>): number {
  const first = stages?.findIndex(({ score }) => score !== 'bound' && score !== 'deviation') ?? 0;
  return first < 0 ? (stages?.length ?? 0) : first;
}

/** Where one view's stages left their survivors. */
export interface Survivors {
  readonly scratch: ReadonlyMap<string, BufferRange>;
  /** Mask heads of the view, and the first one's place in the mask. */
  readonly maskHeads: number;
  readonly firstMaskHead: number;
}

/** Adds the places among the cache's pages of those that hold tokens [first, end). */
function addPages(places: Set<number>, cache: KvCache, first: number, end: number): void {
  const { pageTokens } = cache.pool;
  for (let i = Math.floor(first / pageTokens); i * pageTokens < Math.min(end, cache.length + 1); i++) places.add(i);
}

/** Places of the pages of what the stages before `key` left. Reads chunk numbers back; all pages when no stage is before it. */
export async function survivorPages(
  cache: KvCache,
  { stages, sink }: HipConfig,
  key: number,
  mask: GpuMask,
  views: readonly Survivors[],
): Promise<Set<number>> {
  if (key === 0 || !stages) return new Set(cache.pages.keys());
  const { keep, chunk } = stages[key - 1]!;
  const capacity = keep / chunk;
  // When all stages read envelopes only, the mask is what survived; its tokens count from 0 rather than from the sink.
  const last = key === stages.length;
  const pages = new Set<number>();
  const read = async ({ buffer, offset = 0 }: BufferRange, first: number, length: number): Promise<Int32Array> =>
    new Int32Array(await readBytes(cache.pool.context, buffer, offset + 4 * first, 4 * length));
  for (const { scratch, maskHeads, firstMaskHead } of views) {
    const cell = last ? firstMaskHead : 0;
    const [starts, counts] = await Promise.all([
      read(last ? mask.starts : scratch.get(`starts/${key - 1}`)!, cell * capacity, maskHeads * capacity),
      read(last ? mask.counts : scratch.get(`counts/${key - 1}`)!, cell, maskHeads),
    ]);
    for (let head = 0; head < maskHeads; head++) {
      for (let i = 0; i < counts[head]!; i++) {
        const token = starts[head * capacity + i]! + (last ? 0 : sink);
        addPages(pages, cache, token, token + chunk);
      }
    }
  }
  return pages;
}

/** Places of the pages that a mask's blocks lie in. Reads it back. */
export async function maskPages(
  cache: KvCache,
  { starts, counts, maskHeads, capacity, blockK }: GpuMask,
): Promise<Set<number>> {
  const { context } = cache.pool;
  const read = async ({ buffer, offset = 0 }: BufferRange, length: number): Promise<Int32Array> =>
    new Int32Array(await readBytes(context, buffer, offset, 4 * length));
  const [used, first] = await Promise.all([read(counts, maskHeads), read(starts, maskHeads * capacity)]);
  const places = new Set<number>();
  for (let head = 0; head < maskHeads; head++)
    for (let i = 0; i < used[head]!; i++) {
      const token = first[head * capacity + i]!;
      addPages(places, cache, token, token + blockK);
    }
  return places;
}

/** Places of the pages of sinks and window, besides candidates', ascending. @param window the window's length at most */
export function neededPlaces(cache: KvCache, candidates: ReadonlySet<number>, sink: number, window: number): number[] {
  const places = new Set(candidates);
  const keys = cache.length + 1;
  addPages(places, cache, 0, sink);
  addPages(places, cache, Math.max(0, keys - window), keys);
  return [...places].toSorted((a, b) => a - b);
}
