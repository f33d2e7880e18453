// The job block: what the host writes before it starts the threads. Offsets in bytes; the host's copy is src/runtime/job.ts.

/** i32, atomic: next work item. */
export const NEXT: usize = 0;
/** i32: work items end here. */
export const ITEMS: usize = 4;
export const BATCH: usize = 8;
/** Rows of q in this job, [B, QUERIES, H, d]. */
export const QUERIES: usize = 12;
export const KEYS: usize = 16;
export const HEADS: usize = 20;
export const KV_HEADS: usize = 24;
export const HEAD_DIM: usize = 28;
/** HEAD_DIM rounded up to 8: floats of a row inside WebAssembly memory. */
export const PADDED_DIM: usize = 32;
export const CAUSAL: usize = 36;
/** f32: factor on q·k. */
export const SCALE: usize = 40;
/** f32: soft-cap, 0 = none. */
export const SOFTCAP: usize = 44;
/** Absolute position of the first row. */
export const POSITION: usize = 48;
export const BLOCK_Q: usize = 52;
export const BLOCK_K: usize = 56;
export const SINK: usize = 60;
export const WINDOW: usize = 64;
/** Slots per query block of the mask. */
export const CAPACITY: usize = 68;
/** 1 = one mask for all heads. */
export const SHARE_HEADS: usize = 72;
/** Pointers. */
export const Q: usize = 76;
export const OUT: usize = 80;
/** u32 [B, PAGES_PER_BATCH]: addresses of key-value pages. */
export const PAGES: usize = 84;
export const PAGES_PER_BATCH: usize = 88;
/** 1 = pages hold float16. */
export const HALF: usize = 92;
export const STARTS: usize = 96;
export const COUNTS: usize = 100;
/** Scratch of thread t starts at SCRATCH + t·SCRATCH_STRIDE. */
export const SCRATCH: usize = 104;
export const SCRATCH_STRIDE: usize = 108;
/** Parts the keys of one row tile are split into, and where their partial results go. */
export const SPLITS: usize = 112;
export const PARTIALS: usize = 116;
/** Tree search. */
export const STRIDE_Q: usize = 120;
export const STRIDE_K: usize = 124;
export const REPRESENTATIVE: usize = 128;
export const MAX_CANDIDATES: usize = 132;
/** Appending: raw keys and values [tokens, Hkv, d], and the cache position and number of these tokens. */
export const RAW_KEYS: usize = 136;
export const RAW_VALUES: usize = 140;
export const FIRST_TOKEN: usize = 144;
export const TOKENS: usize = 148;
/** Index of the stage whose envelope is computed, and its first chunk to compute. */
export const ENVELOPE_STAGE: usize = 152;
export const FIRST_CHUNK: usize = 156;
/** Matrix products. */
export const M: usize = 160;
export const N: usize = 164;
export const DEPTH: usize = 168;
/** A's rows as gemm reads them: A itself, or what packRows makes of an A that is stored transposed. */
export const ROWS: usize = 172;
export const TRANSPOSE_B: usize = 176;
export const SHARED_B: usize = 180;
export const A: usize = 184;
export const B: usize = 188;
export const BIAS: usize = 192;
export const COLUMNS: usize = 196;
/** Gradient: of the output (in), of q, k and v (out); log-sum-exp base 2 [B, H, QUERIES] between the passes. */
export const GRAD_OUT: usize = 200;
export const GRAD_Q: usize = 204;
export const GRAD_K: usize = 208;
export const GRAD_V: usize = 212;
/** 0, or where attention writes each row's log-sum-exp, base 2. */
export const LSE: usize = 216;
export const ROUNDS: usize = 220;
/** Bytes from a row of ROWS to the next. */
export const ROW_STRIDE: usize = 224;
/** 1 = the pages hold NaN or infinity somewhere: paths that are slower are taken. `append` sets it where it stores one. */
export const SPECIAL: usize = 228;
/** 0, or i32 [H]: blocks each head's mask keeps instead of CAPACITY. */
export const KEEP_OF_HEAD: usize = 232;
/** Keys whose scores a vote holds: candidates; sinks and window (0: these are multiplied anew in each pass). */
export const VOTE_KEYS: usize = 236;
export const VOTE_LOCAL: usize = 240;
/** The remainder: keys of a base block (0: none), most whole blocks, 1 = its tail is exact. */
export const MEANS_BLOCK: usize = 244;
export const MEANS_MOST: usize = 248;
export const MEANS_EXACT: usize = 252;
/** Means of its blocks (cache/means.ts): where they lie, base blocks there is room for, the first base block to compute, and to join. */
export const MEANS: usize = 256;
export const MEANS_ROOM: usize = 260;
export const MEANS_FIRST: usize = 264;
export const JOIN_FIRST: usize = 268;
/** Their gradients, laid out as they are. */
export const GRAD_MEANS: usize = 272;
/** 0, or what every stage but the last leaves, i32 by cell, OUTPUT_STRIDE of them: written, and read in place of stages before FIRST_STAGE. */
export const OUTPUTS: usize = 276;
export const OUTPUT_STRIDE: usize = 280;
export const FIRST_STAGE: usize = 284;
/** Groups of compact keys that a vote has room for. */
export const VOTE_GROUPS: usize = 288;
/**
 * Stages: count, then per stage 9 × i32 from STAGE: chunk, keep, strideQ, rows (0 max, 1 mean), score (0 binary, 1 bound, 2 exact,
 * 3 deviation, 4 mass), pointer to summaries or compact keys (0: none), chunks or groups of them, channels (0 all, 1 slow half), where a cell's
 * OUTPUTS hold its own: their number, −1 for none, then first tokens.
 */
export const STAGE_COUNT: usize = 292;
export const STAGE: usize = 296;
export const STAGE_BYTES: usize = 36;

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
