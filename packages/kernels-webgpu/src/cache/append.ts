// The passes that write new tokens into the pages of a pool.
import { HipError } from '@hip/mask-search';
import { bytesOf } from '../device/features.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { APPEND, APPEND_LANES, appendCode } from './append-code.ts';
import type { KvPool, PoolBuffers } from './kv-pool.ts';

/** Where the tokens go. */
export interface AppendTarget {
  readonly pool: KvPool;
  /** Position of the first new token. */
  readonly first: number;
  /** Absent where token i is row i. */
  readonly table?: BufferRange | undefined;
  /** Row of the new keys and values that holds the first of them. @defaultValue 0 */
  readonly row?: number | undefined;
  /** Where keys and values of each pool go instead of the pool's pages, token i to row i. */
  readonly into?: readonly { readonly k: GpuTensor; readonly v: GpuTensor }[] | undefined;
}

/** 16-byte words of one token's keys. */
function wordsOf(pool: KvPool, { heads }: PoolBuffers): number {
  return (heads * pool.headDim * bytesOf(pool.type)) / 16;
}

/** The uniform of an append of `tokens`. */
export function appendUniform({ pool, first, row = 0 }: AppendTarget, index: number, tokens: number): ArrayBuffer {
  const part = pool.pools[index]!;
  const headWords = (pool.headDim * bytesOf(pool.type)) / 16;
  return APPEND.pack({
    first,
    tokens,
    words: wordsOf(pool, part),
    sourceWords: pool.kvHeads * headWords,
    sourceFirst: (row * pool.kvHeads + part.firstHead) * headWords,
  });
}

/**
 * Adds the passes.
 *
 * @param k [tokens, Hkv, d] @param v [tokens, Hkv, d] @param uniform per pool, for prepared calls
 * @throws HipError `invalid-shape`
 */
export function encodeAppend(
  call: GpuCall,
  target: AppendTarget,
  { k, v }: { readonly k: GpuTensor; readonly v: GpuTensor },
  tokens: number,
  uniform?: (pool: number) => BufferRange,
): void {
  const { pool, table, row = 0, into } = target;
  const needed = (row + tokens) * pool.kvHeads * pool.headDim;
  for (const [name, { length, type }] of [
    ['k', k],
    ['v', v],
  ] as const) {
    if (length < needed || type !== pool.type)
      throw new HipError(
        'invalid-shape',
        `${name} holds ${length} numbers in ${type}: ${tokens} tokens need ${needed} in ${pool.type}`,
        { name, length, type, needed },
      );
  }
  // A prepared call's row may move.
  const range = ({ buffer, offset = 0, length }: GpuTensor): BufferRange => ({
    buffer,
    offset,
    size: (uniform ? length : needed) * bytesOf(pool.type),
  });
  const most = call.context.limits.maxComputeWorkgroupsPerDimension;
  pool.pools.forEach((part, i) => {
    const groups = Math.ceil((tokens * wordsOf(pool, part)) / APPEND_LANES);
    const x = Math.min(groups, most);
    call.pass({
      label: 'cache/append',
      pipeline: { label: 'cache append', code: appendCode(table && pool.plan.pageShift) },
      bindings: [
        uniform?.(i) ?? { uniform: appendUniform(target, i, tokens) },
        range(k),
        range(v),
        { buffer: (into?.[i] ?? part).k.buffer },
        { buffer: (into?.[i] ?? part).v.buffer },
        ...(table ? [table] : []),
      ],
      workgroups: [x, Math.ceil(groups / x)],
    });
  });
}
