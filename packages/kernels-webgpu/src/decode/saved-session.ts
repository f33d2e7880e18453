// A session's pages and searches as bytes, and such bytes as a session again.
import { HipError } from '@hip/mask-search';
import type { KvCache } from '../cache/kv-cache.ts';
import { bytesOf } from '../device/features.ts';
import { createBuffer } from '../dispatch/pool.ts';
import { readBytes } from '../dispatch/tensor.ts';
import type { LayerAttention } from './layer-attention.ts';
import type { ClockState } from './step-clock.ts';
import type { SavedTurn } from './step-history.ts';

/** Bytes read back at a time, about. */
const PIECE = 32 * 2 ** 20;

/** What a layer's searches know: undefined where the layer never searches. */
export interface SavedSearches {
  readonly clock: ClockState;
  readonly turns: readonly SavedTurn[];
  /** Mask, and what stages leave to later steps. */
  readonly buffers: readonly Uint8Array[];
}

/** What a session is beside its pages. */
export interface SavedSession {
  readonly tokens: number;
  readonly layers: readonly (SavedSearches | undefined)[];
}

/** Where the bytes of some pages lie: buffer, first byte, bytes, in the order in which a piece has them. */
type Place = readonly [buffer: GPUBuffer, offset: number, bytes: number];

/** Pages of a piece of a layer's tokens. */
export function piecePages({ pool }: KvCache): number {
  const pageBytes = 2 * pool.pools.reduce((total, { pageBytes: bytes }) => total + bytes, 0);
  return Math.max(1, Math.floor(PIECE / pageBytes));
}

/** Pieces of a layer of so many tokens. */
export function pieceCount(cache: KvCache, tokens: number): number {
  return Math.ceil(tokens / (cache.pool.pageTokens * piecePages(cache)));
}

function places(cache: KvCache, piece: number): Place[] {
  const { pool, length, pages } = cache;
  const { pageTokens, planner, headDim, type } = pool;
  const each = piecePages(cache);
  const found: Place[] = [];
  for (let page = piece * each; page < Math.min(pages.length, (piece + 1) * each); page++) {
    const tokens = Math.min(pageTokens, length - page * pageTokens);
    if (tokens <= 0) break;
    const slot = planner.slotOf(pages[page]!)!;
    for (const { k, v, pageBytes, heads } of pool.pools) {
      const bytes = tokens * heads * headDim * bytesOf(type);
      for (const { buffer } of [k, v]) found.push([buffer, slot * pageBytes, bytes]);
    }
  }
  return found;
}

/** A piece of a layer's keys and values. Waits for the queue. @throws HipError `device-lost` */
export async function readPiece(cache: KvCache, piece: number): Promise<Uint8Array<ArrayBuffer>> {
  const { context } = cache.pool;
  const from = places(cache, piece);
  const total = from.reduce((sum, [, , bytes]) => sum + bytes, 0);
  const staging = createBuffer(context, total, 0x01 | 0x08, 'saved pages'); // MAP_READ | COPY_DST
  try {
    const encoder = context.device.createCommandEncoder();
    let at = 0;
    for (const [buffer, offset, bytes] of from) {
      encoder.copyBufferToBuffer(buffer, offset, staging, at, bytes);
      at += bytes;
    }
    context.device.queue.submit([encoder.finish()]);
    await context.settled();
    await context.orLost(staging.mapAsync(1));
    return new Uint8Array(staging.getMappedRange().slice(0));
  } finally {
    staging.destroy();
  }
}

/** Writes a piece that {@link readPiece} gave. @throws HipError `invalid-shape` */
export function writePiece(cache: KvCache, piece: number, bytes: Uint8Array): void {
  const to = places(cache, piece);
  const total = to.reduce((sum, [, , length]) => sum + length, 0);
  if (bytes.byteLength !== total) {
    const message = `piece ${piece} is given ${bytes.byteLength} bytes and takes ${total}: give those of a session of the same pool`;
    throw new HipError('invalid-shape', message, { piece, given: bytes.byteLength, expected: total });
  }
  let at = 0;
  for (const [buffer, offset, length] of to) {
    const part = bytes.slice(at, at + length) as Uint8Array<ArrayBuffer>;
    cache.pool.context.device.queue.writeBuffer(buffer, offset, part);
    at += length;
  }
}

export async function saveSearches({ cache, state }: LayerAttention): Promise<SavedSearches | undefined> {
  if (!state) return undefined;
  const { context } = cache.pool;
  const buffers: Uint8Array[] = [];
  for (const buffer of state.kept()) buffers.push(new Uint8Array(await readBytes(context, buffer, 0, buffer.size)));
  return { clock: state.clock.state, turns: state.history.turns, buffers };
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
    const bytes = saved.buffers[i]!.slice() as Uint8Array<ArrayBuffer>;
    cache.pool.context.device.queue.writeBuffer(buffer, 0, bytes);
  });
  state.clock.set(saved.clock);
  state.history.set(saved.turns);
}
