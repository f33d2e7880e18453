// A step of a layer whose cold pages lie on the host: what needs only summaries, then the pages that are wanted, then the rest.
import { HipError } from '@hip/mask-search';
import type { KvCache } from '../cache/kv-cache.ts';
import type { CacheView } from '../cache/view.ts';
import { bytesOf } from '../device/features.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import type { Timer } from '../dispatch/timer.ts';
import type { LayerAttention, LayerStep } from './layer-attention.ts';
import { bringPages, LayerRoom } from './layer-room.ts';
import { firstKeyStage, maskPages, neededPlaces, survivorPages } from './offload.ts';
import type { StepPart } from './searched-steps.ts';
import type { SharedScratch } from './shared-scratch.ts';
import type { StepTensors } from './tensors.ts';

export interface OffloadedStep {
  readonly tensors: StepTensors;
  readonly timer?: Timer | undefined;
  /** Memory beside the pages, for a step that wants more of them than the device has slots. */
  readonly scratch: SharedScratch;
  /** Submits a part of the step, which reads other views than the cache's where some are given. */
  readonly submit: (part: StepPart, views?: readonly CacheView[]) => void;
}

/** The step's passes, submitted; the token is not counted yet. @throws HipError `device-lost` */
export async function runOffloadedStep(
  attention: LayerAttention,
  { isSearched, stage }: LayerStep,
  step: OffloadedStep,
): Promise<void> {
  const { cache, layer, state } = attention;
  if (!isSearched || !state) {
    const places = seenPlaces(cache, layer.window);
    if (bring(cache, places)) step.submit('whole');
    else await runBeside(attention, step, places);
    return;
  }
  const config = layer.stepConfig!;
  const { sink, window } = config;
  const needed = (chosen: ReadonlySet<number>): number[] =>
    neededPlaces(cache, chosen, sink, window + layer.interval + 1);
  if (stage === undefined) {
    // The mask says what is read.
    state.maskPages ??= await maskPages(cache, state.mask);
    const places = needed(state.maskPages);
    if (bring(cache, places)) step.submit('whole');
    else await runBeside(attention, step, places);
    return;
  }
  const key = firstKeyStage(config);
  step.submit('before');
  if (stage < Math.max(1, key)) {
    const survivors = state.views.map(({ scratch, plan, headFirst }) =>
      config.shareHeads
        ? { scratch, maskHeads: 1, firstMaskHead: 0 }
        : { scratch, maskHeads: plan.request.shape.heads, firstMaskHead: headFirst },
    );
    state.candidatePages = await survivorPages(cache, config, key, state.mask, survivors);
  }
  const places = needed(state.candidatePages);
  state.maskPages = undefined;
  if (bring(cache, places)) step.submit('after');
  else await runBeside(attention, step, places, true);
}

/** Runs a step, or the rest of one, over the pages it wants, side by side in memory of their own. */
async function runBeside(
  attention: LayerAttention,
  step: OffloadedStep,
  places: readonly number[],
  hasBegun = false,
): Promise<void> {
  const { pool } = attention.cache;
  const most = pool.context.limits.maxStorageBufferBindingSize;
  if (pool.pools.some(({ pageBytes }) => places.length * pageBytes > most)) {
    // More than a binding holds: as for a chunk, whose rows are read in windows.
    await runInRoom(attention, step);
    return;
  }
  if (!hasBegun) step.submit('before');
  step.submit('after', await sideBySide(attention, places, step.scratch));
}

/** Places of all pages that a row attends to which attends exactly. */
function seenPlaces(cache: KvCache, window: number | undefined): number[] {
  const oldest = window === undefined ? 0 : Math.max(0, cache.length + 1 - window);
  const first = Math.floor(oldest / cache.pool.pageTokens);
  return Array.from({ length: cache.pages.length - first }, (_, i) => first + i);
}

/** Brings pages to slots, where all of them fit. */
function bring(cache: KvCache, places: readonly number[]): boolean {
  const { pool } = cache;
  if (places.length > pool.planner.slots) return false;
  try {
    pool.load(pool.planner.require(places.map((place) => cache.pages[place]!)));
  } catch (error) {
    // Others' pages are pinned, or have no host copy yet.
    if (error instanceof HipError && error.code === 'out-of-memory') return false;
    throw error;
  }
  cache.writeTable();
  return true;
}

/** A step that attends exactly, over all the layer's pages side by side. */
async function runInRoom(attention: LayerAttention, { tensors, timer, scratch }: OffloadedStep): Promise<void> {
  const { cache } = attention;
  const { context } = cache.pool;
  const room = new LayerRoom(attention, scratch, 1);
  await room.load();
  context.watch(
    (error) => cache.fail(error),
    () => {
      using call = new GpuCall(context);
      room.encode(call, tensors, 1);
      call.submit(timer);
    },
  );
  await room.close();
}

/** Brings as many of the pages to slots as there are, so that the next steps, which want most of them again, find them. */
function keepSome({ pool, pages }: KvCache, places: readonly number[]): void {
  const { planner } = pool;
  const isThere = (place: number): boolean => planner.slotOf(pages[place]!) !== undefined;
  const [there, away] = [places.filter(isThere), places.filter((place) => !isThere(place))];
  const room = planner.slots - planner.unsaved;
  const kept = [...there, ...away].slice(0, Math.max(there.length, room)).map((place) => pages[place]!);
  try {
    pool.load(planner.require(kept));
  } catch (error) {
    // Then all of them come beside the slots.
    if (!(error instanceof HipError && error.code === 'out-of-memory')) throw error;
  }
}

/** Views of wanted pages alone, one behind another. */
async function sideBySide(
  attention: LayerAttention,
  places: readonly number[],
  scratch: SharedScratch,
): Promise<CacheView[]> {
  const { cache } = attention;
  const { pool } = cache;
  const { context, pageTokens, type } = pool;
  const table = new Uint32Array(cache.pages.length);
  places.forEach((place, i) => {
    table[place] = i;
  });
  const tables = scratch.renew('a page table', 4 * cache.tablePlace.words);
  context.device.queue.writeBuffer(tables.buffer, 0, table);
  const pages = { table: tables, shift: pool.plan.pageShift };
  const views = cache.views().map((own, i): CacheView => {
    const bytes = places.length * pool.pools[i]!.pageBytes;
    const tensor = (what: string): GpuTensor => ({
      buffer: scratch.renew(`a layer's ${what}/${i}`, bytes).buffer,
      type,
      length: bytes / bytesOf(type),
    });
    return { ...own, k: tensor('keys'), v: tensor('values'), keyRows: places.length * pageTokens, pages };
  });
  keepSome(cache, places);
  await bringPages(attention, places, views, true);
  return views;
}
