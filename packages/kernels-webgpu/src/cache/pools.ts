// How a key-value cache is cut into buffers: pools of kv heads, so that every kernel finds a head's keys in one binding. Pure.
import { bytesOf, type ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import { HipError, limitError } from '../errors/gpu-errors.ts';

/** What a cache must hold. */
export interface PoolRequest {
  readonly kvHeads: number;
  readonly headDim: number;
  readonly type: ElementType;
  /** Tokens of a page; a power of two. */
  readonly pageTokens: number;
  /** Tokens on the device at once. */
  readonly tokens: number;
  readonly limits: Pick<DeviceLimits, 'maxStorageBufferBindingSize' | 'maxBufferSize'>;
}

/** kv heads [firstHead, firstHead + heads) live in one buffer of keys and one of values. */
export interface PoolPlan {
  readonly firstHead: number;
  readonly heads: number;
  /** Bytes of one page of keys (as many for values). */
  readonly pageBytes: number;
}

export interface CachePlan {
  readonly pools: readonly PoolPlan[];
  /** Pages on the device at once. */
  readonly slots: number;
  readonly pageShift: number;
  /** Bytes of all buffers. */
  readonly bytes: number;
}

/**
 * As many kv heads per pool as a binding holds. One token's heads never lie in more pools than needed, and a pool never exceeds a
 * binding or a buffer.
 *
 * @throws HipError `invalid-config`, `unsupported` where one head's pages do not fit a binding
 */
export function planPools({ kvHeads, headDim, type, pageTokens, tokens, limits }: PoolRequest): CachePlan {
  for (const [name, value] of Object.entries({ kvHeads, tokens })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new HipError('invalid-config', `${name} is ${value}: give an integer >= 1`, { name, value });
  }
  const pageShift = Math.log2(pageTokens);
  if (!Number.isInteger(pageShift) || pageShift < 0)
    throw new HipError('invalid-config', `pageTokens is ${pageTokens}: give a power of two`, {
      name: 'pageTokens',
      value: pageTokens,
    });
  const slots = Math.ceil(tokens / pageTokens);
  const headBytes = slots * pageTokens * headDim * bytesOf(type);
  const limit = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const heads = Math.min(kvHeads, Math.floor(limit / headBytes));
  if (heads < 1)
    throw limitError(
      'maxStorageBufferBindingSize',
      headBytes,
      limit,
      `hold at most ${Math.floor(limit / (pageTokens * headDim * bytesOf(type))) * pageTokens} tokens on the device and offload the others`,
    );
  // Equal pools, so that one compiled kernel serves all.
  const count = Math.ceil(kvHeads / heads);
  const even = Math.ceil(kvHeads / count);
  const pools = Array.from({ length: Math.ceil(kvHeads / even) }, (_, i) => {
    const firstHead = i * even;
    const own = Math.min(even, kvHeads - firstHead);
    return { firstHead, heads: own, pageBytes: pageTokens * own * headDim * bytesOf(type) };
  });
  return { pools, slots, pageShift, bytes: 2 * slots * pools.reduce((total, { pageBytes }) => total + pageBytes, 0) };
}
