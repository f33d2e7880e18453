// Keys and values of a sequence as kernels bind them.
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';

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
