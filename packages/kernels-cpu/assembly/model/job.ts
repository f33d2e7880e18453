// The job block of the model's kernels. NEXT and ITEMS lie where every job has them (../job.ts). Offsets in bytes; the host's copy is
// src/model/job.ts.
import * as J from '../job';

export const OUT: usize = 8;
export const X: usize = 12;
export const ROWS: usize = 16;
/** Numbers of a row. */
export const WIDTH: usize = 20;
/** Scratch of thread t starts at SCRATCH + t·SCRATCH_STRIDE. */
export const SCRATCH: usize = 24;
export const SCRATCH_STRIDE: usize = 28;
/** Which norm, activation or other function of elements. */
export const OPERATION: usize = 32;
/** Pointers, 0 where there is none: a norm's weight and bias, a gate's factor, cosines and sines. */
export const SECOND: usize = 36;
export const THIRD: usize = 40;
/** f32. */
export const EPSILON: usize = 44;
/** f32. */
export const FACTOR: usize = 48;
/** 1 = a norm's weight is 1 more than stored; pairs are neighbours; rows that were written hold halves that are not finite. */
export const FLAG: usize = 52;
export const HEADS: usize = 56;
export const HEAD_DIM: usize = 60;
/** Rows, or numbers, of a work item. */
export const RUN: usize = 64;
/** i32 [ROWS]: rows of the matrix to read. */
export const IDS: usize = 68;
/** First row of the matrix that is written. */
export const FIRST_ROW: usize = 84;
/** Rows of X as integers (quantize.ts), 0 where no target needs them; bytes from one to the next. */
export const QUANTIZED: usize = 72;
export const QUANTIZED_STRIDE: usize = 76;
/** Matrices that the same X is multiplied by: count, then per matrix 9 words from TARGET on. */
export const TARGET_COUNT: usize = 80;
export const TARGET: usize = 88;
export const TARGET_BYTES: usize = 36;
/**
 * Of a target: its first work item, output [ROWS, OUTPUTS], groups of eight rows (pack.ts), their type, bytes of a row, bias
 * (0: none), 1 = the output is added to, 1 = halves may be infinite or NaN, which takes a slower path.
 */
export const FIRST_ITEM: usize = 0;
export const TARGET_OUT: usize = 4;
export const BLOCKS: usize = 8;
export const TYPE: usize = 12;
export const ROW_BYTES: usize = 16;
export const OUTPUTS: usize = 20;
export const BIAS: usize = 24;
export const ADD: usize = 28;
export const SPECIAL: usize = 32;

// @ts-ignore: decorator
@inline
export function scratch(job: usize, thread: i32): usize {
  return J.p(job, SCRATCH) + <usize>thread * J.p(job, SCRATCH_STRIDE);
}

/** The target that a work item belongs to. */
// @ts-ignore: decorator
@inline
export function targetOf(job: usize, item: i32): usize {
  let target = job + TARGET + <usize>J.i(job, TARGET_COUNT) * TARGET_BYTES - TARGET_BYTES;
  while (load<i32>(target + FIRST_ITEM) > item) target -= TARGET_BYTES;
  return target;
}
