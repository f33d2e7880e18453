// What summaries and means take in around a step: tokens that no search has seen yet, and which pages hold them.
import type { GpuCall } from '../dispatch/call.ts';
import type { LayerAttention, LayerStep } from './layer-attention.ts';

/** A layer whose step it is. */
type SteppedLayer = Pick<LayerAttention, 'cache' | 'layer' | 'state'>;

/** Pages of the tokens that summaries and means do not know whole: they are read before the step's own pages are known. */
export function bringRecent({ cache, state }: SteppedLayer, keys: number): void {
  const { pool } = cache;
  const oldest = (state?.views ?? []).flatMap(({ envelopes, means }) => [
    envelopes.oldestStale,
    ...(means ? [means.knownTokens] : []),
  ]);
  const first = Math.floor(Math.min(...oldest) / pool.pageTokens);
  pool.load(pool.planner.require(cache.pages.slice(first, Math.ceil(keys / pool.pageTokens))));
  cache.writeTable();
}

/** Whether something has to run before the step: what {@link catchUp} adds. */
export function isBehind({ cache, layer, state }: SteppedLayer, { isSearched, moment }: LayerStep): boolean {
  if (!state || !isSearched) return false;
  const { length } = cache;
  return state.views.some(
    ({ envelopes, means }) =>
      means?.behind(length) || (moment.searched?.envelopes && envelopes.behind(length, layer.interval)),
  );
}

/** Adds what takes in tokens that no search has seen yet, beyond what the step itself takes in. */
export function catchUp(call: GpuCall, { cache, layer, state }: SteppedLayer, { moment }: LayerStep): void {
  const { length } = cache;
  // Blocks below a window of one key or more hold no key of this step.
  for (const { plan, view, envelopes, means } of state?.views ?? []) {
    if (means?.behind(length)) means.update(call, view, length);
    if (moment.searched?.envelopes && envelopes.behind(length, layer.interval))
      envelopes.update(call, plan, view, length);
  }
}

/** Notes that the step's summaries are up to date; after its uniforms were written. */
export function noteSummaries({ moment }: LayerStep): void {
  for (const envelopes of moment.searched?.envelopes ?? []) envelopes.know(moment.keys);
}
