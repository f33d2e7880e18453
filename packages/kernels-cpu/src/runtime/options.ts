// What calls of the runtime take and give.
import type { BlockMask, ScoreOptions } from '@hip/mask-search';
import type { SimdChoice } from '../wasm/binary.ts';

export interface CpuRuntimeOptions {
  /** Threads in all, the calling one included. @defaultValue 'auto': the cores of the machine, 1 where there is no shared memory */
  readonly threads?: number | 'auto' | undefined;
  /** @defaultValue 'auto' */
  readonly simd?: SimdChoice | undefined;
}

export interface CallOptions extends ScoreOptions {
  /** Where the output goes, [B, Tq, H, d]. @defaultValue a new array */
  readonly out?: Float32Array | undefined;
}

export interface DenseCallOptions extends CallOptions {
  /** @defaultValue true */
  readonly causal?: boolean | undefined;
}

export interface HipResult {
  /** [B, Tq, H, d] */
  readonly output: Float32Array;
  readonly mask: BlockMask;
}
