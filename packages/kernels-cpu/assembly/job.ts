// The job block: what the host writes before it starts the threads. Offsets in bytes; the host's copy is src/runtime/job.ts.

/** i32, atomic: next work item. */
export const NEXT: usize = 0;
/** i32: number of work items. */
export const ITEMS: usize = 4;
export const BATCH: usize = 8;
export const QUERIES: usize = 12;
export const KEYS: usize = 16;
export const HEADS: usize = 20;
export const KV_HEADS: usize = 24;
export const HEAD_DIM: usize = 28;
export const CAUSAL: usize = 32;
/** f32: factor on q·k. */
export const SCALE: usize = 36;
/** f32: soft-cap, 0 = none. */
export const SOFTCAP: usize = 40;
export const BLOCK_Q: usize = 44;
export const BLOCK_K: usize = 48;
export const SINK: usize = 52;
export const WINDOW: usize = 56;
/** Slots per query block of the mask. */
export const CAPACITY: usize = 60;
/** 1 = one mask for all heads. */
export const SHARE_HEADS: usize = 64;
/** Pointers. */
export const Q: usize = 68;
export const K: usize = 72;
export const V: usize = 76;
export const OUT: usize = 80;
/** Packed keys [B, Hkv, panels][d][8] and values [B, Hkv, panels·8][d]. */
export const KEY_PANELS: usize = 84;
export const VALUE_PANELS: usize = 88;
export const STARTS: usize = 92;
export const COUNTS: usize = 96;
/** Scratch of thread t starts at SCRATCH + t·SCRATCH_STRIDE. */
export const SCRATCH: usize = 100;
export const SCRATCH_STRIDE: usize = 104;
/** Tree search. */
export const STRIDE_Q: usize = 108;
export const STRIDE_K: usize = 112;
export const REPRESENTATIVE: usize = 116;
/** Stages: count, then per stage 6 × i32 from STAGE: chunk, keep, strideQ, rows (0 max, 1 mean), score (0 binary, 1 bound, 2 exact), envelope pointer. */
export const STAGE_COUNT: usize = 120;
export const STAGE: usize = 124;
export const STAGE_BYTES: usize = 24;
/** Query rows per work item of dense attention. */
export const ROW_TILE: usize = 316;
/** 1 = the mask's blocks start at multiples of 8 and hold multiples of 8 keys: packed panels are read in place. */
export const ALIGNED: usize = 320;
/** 1 = reads CAUSAL window. Dense attention ignores the mask fields. */
export const SEED: usize = 324;
export const M: usize = 328;
export const N: usize = 332;
export const DEPTH: usize = 336;
export const EXTRA: usize = 340;

// @ts-ignore: decorator
@inline
export function i(job: usize, field: usize): i32 {
  return load<i32>(job + field);
}

// @ts-ignore: decorator
@inline
export function p(job: usize, field: usize): usize {
  return <usize>load<u32>(job + field);
}

// @ts-ignore: decorator
@inline
export function f(job: usize, field: usize): f32 {
  return load<f32>(job + field);
}

/** Takes the next work item, or a number ≥ the item count when none is left. */
// @ts-ignore: decorator
@inline
export function take(job: usize): i32 {
  return atomic.add<i32>(job + NEXT, 1);
}

// @ts-ignore: decorator
@inline
export function scratch(job: usize, thread: i32): usize {
  return p(job, SCRATCH) + <usize>thread * p(job, SCRATCH_STRIDE);
}
