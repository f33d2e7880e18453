// Where the cache of a text lies: a pool of pages, another one where it needs more room, and its tokens read back to the host.
import { KvCache, readTensor } from '@hip/kernels-webgpu';
import type { KeysAndValues } from './backend.ts';
import { copyRows, rowsOf, type LayerPages, type PagePool } from './webgpu-pages.ts';

/** A cache and the pool in which it is. */
export interface GpuPlace {
  readonly pool: PagePool;
  readonly cache: KvCache;
}

/** An empty cache with room for so many tokens. @throws HipError `out-of-memory`, `invalid-config`, `unsupported` */
export function placeIn(pages: LayerPages, tokens: number): GpuPlace {
  const pool = pages.take(tokens);
  const { maxTokens } = pages.options;
  try {
    return { pool, cache: new KvCache(pool.pool, maxTokens === undefined ? {} : { maxTokens }) };
  } catch (error) {
    pages.give(pool);
    throw error;
  }
}

/** The first tokens of a cache in another pool, with room for more: copied on the GPU. @throws HipError `out-of-memory` */
export function copiedPlace(pages: LayerPages, from: KvCache, tokens: number, room: number): GpuPlace {
  const place = placeIn(pages, room);
  const { cache, pool } = place;
  try {
    if (tokens === 0) return place;
    cache.reserve(tokens);
    const rows = pool.pool.pools.map(({ k, v }) => ({ k: k.buffer, v: v.buffer }));
    copyRows(from, tokens, rows);
    cache.advance(tokens);
    return place;
  } catch (error) {
    cache.dispose();
    pages.give(pool);
    throw error;
  }
}

/** Tokens [first, first + length) of a cache, [tokens, kvHeads, channels]. */
export async function readTokens(
  cache: KvCache,
  { first, length }: { readonly first: number; readonly length: number },
): Promise<KeysAndValues> {
  const { pool } = cache;
  const { context, kvHeads, headDim, type } = pool;
  const [k, v] = [new Float32Array(length * kvHeads * headDim), new Float32Array(length * kvHeads * headDim)];
  if (length === 0) return { k, v };
  const rows = rowsOf(cache, first + length);
  try {
    for (const [i, { heads, firstHead }] of pool.pools.entries()) {
      const part = rows[i]!;
      const keys = await readTensor(context, { buffer: part.k, type, length: part.length });
      const values = await readTensor(context, { buffer: part.v, type, length: part.length });
      for (let token = 0; token < length; token++) {
        const from = (token + first) * heads * headDim;
        const to = (token * kvHeads + firstHead) * headDim;
        k.set(keys.subarray(from, from + heads * headDim), to);
        v.set(values.subarray(from, from + heads * headDim), to);
      }
    }
  } finally {
    for (const part of rows) part.destroy();
  }
  return { k, v };
}
