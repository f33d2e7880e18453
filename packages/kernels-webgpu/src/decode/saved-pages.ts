// A session's keys and values as pieces of bytes, wherever they lie, and such pieces as pages again.
import { HipError } from '@hip/mask-search';
import type { KvCache } from '../cache/kv-cache.ts';
import { bytesOf } from '../device/features.ts';
import { GpuCall } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { LayerAttention } from './layer-attention.ts';
import { bringPages, roomViews } from './layer-room.ts';

/** Bytes read back at a time, about. */
const PIECE = 32 * 2 ** 20;

/** Keys or values of a pool in a page. */
interface Part {
  readonly page: number;
  /** Number of the part in its page: 2·pool for keys, 2·pool + 1 for values. */
  readonly index: number;
  /** Bytes of the tokens that are there. */
  readonly bytes: number;
}

/** Pages of a piece of a layer's tokens. */
function piecePages({ pool }: KvCache): number {
  const pageBytes = 2 * pool.pools.reduce((total, { pageBytes: bytes }) => total + bytes, 0);
  return Math.max(1, Math.floor(PIECE / pageBytes));
}

/** Pieces of a layer of so many tokens. */
export function pieceCount(cache: KvCache, tokens: number): number {
  const { firstPage, pool } = cache;
  return Math.ceil((Math.ceil(tokens / pool.pageTokens) - firstPage) / piecePages(cache));
}

/** What a piece holds, in order: page by page, of each pool keys and then values. */
function partsOf(cache: KvCache, piece: number): Part[] {
  const { pool, length, pages, firstPage } = cache;
  const { pageTokens, headDim, type } = pool;
  const from = firstPage + piece * piecePages(cache);
  return pages.slice(from, from + piecePages(cache)).flatMap((page, i) => {
    const tokens = Math.min(pageTokens, length - (from + i) * pageTokens);
    return pool.pools.flatMap(({ heads }, at) => {
      const bytes = tokens * heads * headDim * bytesOf(type);
      return [2 * at, 2 * at + 1].map((index) => ({ page, index, bytes }));
    });
  });
}

/** Where a part lies on the device. */
function placeOf({ pool }: KvCache, { page, index }: Part): { readonly buffer: GPUBuffer; readonly offset: number } {
  const { k, v, pageBytes } = pool.pools[index >> 1]!;
  return { buffer: (index % 2 === 0 ? k : v).buffer, offset: pool.planner.slotOf(page)! * pageBytes };
}

/** A piece of a layer's keys and values. Waits for the queue. @throws HipError `device-lost` */
export async function readPiece(cache: KvCache, piece: number): Promise<Uint8Array<ArrayBuffer>> {
  const { context, host } = cache.pool;
  const parts = partsOf(cache, piece).map((part) => ({ ...part, copy: host.read(part.page)?.[part.index] }));
  const away = parts.filter(({ copy }) => copy === undefined);
  const out = new Uint8Array(parts.reduce((sum, { bytes }) => sum + bytes, 0));
  const staged = away.reduce((sum, { bytes }) => sum + bytes, 0);
  const staging = createBuffer(context, Math.max(4, staged), 0x01 | 0x08, 'saved pages'); // MAP_READ | COPY_DST
  try {
    const encoder = context.device.createCommandEncoder();
    let to = 0;
    for (const part of away) {
      const { buffer, offset } = placeOf(cache, part);
      encoder.copyBufferToBuffer(buffer, offset, staging, to, part.bytes);
      to += part.bytes;
    }
    context.device.queue.submit([encoder.finish()]);
    await context.settled();
    await context.orLost(staging.mapAsync(1));
    const read = new Uint8Array(staging.getMappedRange());
    let [at, from] = [0, 0];
    for (const { copy, bytes } of parts) {
      out.set(copy ?? read.subarray(from, from + bytes), at);
      at += bytes;
      if (!copy) from += bytes;
    }
    return out;
  } finally {
    staging.destroy();
  }
}

/**
 * Writes a piece that {@link readPiece} gave; with the last one the layer is whole.
 *
 * @throws HipError `invalid-shape`, `device-lost`
 */
export async function writePiece(attention: LayerAttention, piece: number, bytes: Uint8Array): Promise<void> {
  const { cache } = attention;
  const { pool } = cache;
  const parts = partsOf(cache, piece);
  const total = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (bytes.byteLength !== total) {
    const message = `piece ${piece} is given ${bytes.byteLength} bytes and takes ${total}: give those of a session of the same pool`;
    throw new HipError('invalid-shape', message, { piece, given: bytes.byteLength, expected: total });
  }
  let at = 0;
  const cold = new Map<number, Uint8Array[]>();
  for (const part of parts) {
    const own = bytes.subarray(at, at + part.bytes);
    at += part.bytes;
    if (pool.planner.slotOf(part.page) === undefined) {
      const copies = cold.get(part.page);
      if (copies) copies.push(own);
      else cold.set(part.page, [own]);
      continue;
    }
    const { buffer, offset } = placeOf(cache, part);
    pool.context.device.queue.writeBuffer(buffer, offset, own.slice());
  }
  pool.host.put([...cold].map(([page, copies]) => ({ page, parts: copies })));
  if (pool.offload && piece === pieceCount(cache, cache.length) - 1) await finish(attention);
}

/** Brings the newest pages to slots, and makes what stands for chunks, which steps read before they know which pages they want. */
async function finish(attention: LayerAttention): Promise<void> {
  const { cache, state, scratch } = attention;
  const { pool, pages, length } = cache;
  const { planner } = pool;
  const placed = pages.filter((page) => planner.slotOf(page) === undefined).slice(-planner.slots);
  for (const page of placed) {
    const placement = planner.tryPlace(page);
    if (!placement) break;
    pool.load([placement]);
  }
  cache.writeTable();
  if (!state) return;
  const views = roomViews(attention, scratch, pages.length);
  await bringPages(attention, [...pages.keys()], views, true);
  using call = new GpuCall(pool.context);
  attention.summarize(call, views, length);
  pool.context.watch(
    (error) => cache.fail(error),
    () => call.submit(),
  );
}
