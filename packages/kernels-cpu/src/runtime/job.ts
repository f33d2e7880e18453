// The job block's byte offsets: the host's copy of assembly/job.ts.

/** Field offsets in bytes; `f32` fields are SCALE and SOFTCAP, all others are 32-bit integers. */
export const JOB = {
  NEXT: 0,
  ITEMS: 4,
  BATCH: 8,
  QUERIES: 12,
  KEYS: 16,
  HEADS: 20,
  KV_HEADS: 24,
  HEAD_DIM: 28,
  CAUSAL: 32,
  SCALE: 36,
  SOFTCAP: 40,
  BLOCK_Q: 44,
  BLOCK_K: 48,
  SINK: 52,
  WINDOW: 56,
  CAPACITY: 60,
  SHARE_HEADS: 64,
  Q: 68,
  K: 72,
  V: 76,
  OUT: 80,
  KEY_PANELS: 84,
  VALUE_PANELS: 88,
  STARTS: 92,
  COUNTS: 96,
  SCRATCH: 100,
  SCRATCH_STRIDE: 104,
  STRIDE_Q: 108,
  STRIDE_K: 112,
  REPRESENTATIVE: 116,
  STAGE_COUNT: 120,
  STAGE: 124,
  ALIGNED: 320,
  M: 328,
  N: 332,
  DEPTH: 336,
  EXTRA: 340,
} as const;

export const JOB_BYTES = 384;
/** Bytes of one stage's record from JOB.STAGE on. */
export const STAGE_BYTES = 24;
export const MAX_STAGES = 8;

export type JobField = keyof typeof JOB;
