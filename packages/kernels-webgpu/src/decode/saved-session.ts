// A session's searches as bytes, and such bytes as a session again.
import { HipError } from '@hip/mask-search';
import { readBytes } from '../dispatch/tensor.ts';
import type { LayerAttention } from './layer-attention.ts';
import type { ClockState } from './step-clock.ts';
import type { SavedTurn } from './step-history.ts';

/** What a layer's searches know: undefined where the layer never searches. */
export interface SavedSearches {
  readonly clock: ClockState;
  readonly turns: readonly SavedTurn[];
  /** Mask, and what stages leave to later steps. */
  readonly buffers: readonly Uint8Array[];
  /** With pages on the host: places of those that the mask's candidates lie in. */
  readonly candidatePages: readonly number[];
}

/** What a session is beside its pages. */
export interface SavedSession {
  readonly tokens: number;
  /** By layer: place of the first page that is there, where a window slides. */
  readonly firstPages: readonly number[];
  readonly layers: readonly (SavedSearches | undefined)[];
}

export async function saveSearches({ cache, state }: LayerAttention): Promise<SavedSearches | undefined> {
  if (!state) return undefined;
  const { context } = cache.pool;
  const buffers: Uint8Array[] = [];
  for (const buffer of state.kept()) buffers.push(new Uint8Array(await readBytes(context, buffer, 0, buffer.size)));
  const { clock, history, candidatePages } = state;
  return { clock: clock.state, turns: history.turns, buffers, candidatePages: [...candidatePages] };
}

/** @throws HipError `invalid-shape` where the layer searches otherwise */
export function restoreSearches({ cache, state }: LayerAttention, saved: SavedSearches | undefined): void {
  const kept = state?.kept() ?? [];
  const sizes = saved?.buffers.map(({ byteLength }) => byteLength) ?? [];
  if (!state !== !saved || kept.length !== sizes.length || kept.some(({ size }, i) => size !== sizes[i])) {
    const message = 'what was saved is of a layer that searches otherwise: give that of a session of the same pool';
    throw new HipError('invalid-shape', message, { saved: sizes, expected: kept.map(({ size }) => size) });
  }
  if (!state || !saved) return;
  kept.forEach((buffer, i) => {
    const bytes = saved.buffers[i]!.slice();
    cache.pool.context.device.queue.writeBuffer(buffer, 0, bytes);
  });
  state.clock.set(saved.clock);
  state.history.set(saved.turns);
  state.candidatePages = new Set(saved.candidatePages);
}
