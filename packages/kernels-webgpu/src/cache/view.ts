// Keys and values of a sequence as kernels bind them.
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import type { KvPool } from './kv-pool.ts';

/** Keys and values of some kv heads. */
export interface CacheView {
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  /** kv heads of this view. */
  readonly kvHeads: number;
  readonly firstKvHead: number;
  /** Rows of k and v. */
  readonly keyRows: number;
  /** Absent where token i is row i. */
  readonly pages?: { readonly table: BufferRange; readonly shift: number } | undefined;
}

/** One view per buffer of a pool. @param table of the sequence's pages; absent where token i is row i */
export function viewsOf({ pools, plan, pageTokens }: KvPool, table: BufferRange | undefined): CacheView[] {
  return pools.map(({ k, v, heads, firstHead }) => ({
    k,
    v,
    kvHeads: heads,
    firstKvHead: firstHead,
    keyRows: plan.slots * pageTokens,
    ...(table && { pages: { table, shift: plan.pageShift } }),
  }));
}
