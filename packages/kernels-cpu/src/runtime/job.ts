// The job block's byte offsets: the host's copy of assembly/job.ts (a test compares the two).

/** Field offsets in bytes; SCALE and SOFTCAP are f32, all others 32-bit integers. */
export const JOB = {
  NEXT: 0,
  ITEMS: 4,
  BATCH: 8,
  QUERIES: 12,
  KEYS: 16,
  HEADS: 20,
  KV_HEADS: 24,
  HEAD_DIM: 28,
  PADDED_DIM: 32,
  CAUSAL: 36,
  SCALE: 40,
  SOFTCAP: 44,
  POSITION: 48,
  BLOCK_Q: 52,
  BLOCK_K: 56,
  SINK: 60,
  WINDOW: 64,
  CAPACITY: 68,
  SHARE_HEADS: 72,
  Q: 76,
  OUT: 80,
  PAGES: 84,
  PAGES_PER_BATCH: 88,
  HALF: 92,
  STARTS: 96,
  COUNTS: 100,
  SCRATCH: 104,
  SCRATCH_STRIDE: 108,
  SPLITS: 112,
  PARTIALS: 116,
  STRIDE_Q: 120,
  STRIDE_K: 124,
  REPRESENTATIVE: 128,
  MAX_CANDIDATES: 132,
  RAW_KEYS: 136,
  RAW_VALUES: 140,
  FIRST_TOKEN: 144,
  TOKENS: 148,
  ENVELOPE_STAGE: 152,
  FIRST_CHUNK: 156,
  M: 160,
  N: 164,
  DEPTH: 168,
  ROWS: 172,
  TRANSPOSE_B: 176,
  SHARED_B: 180,
  A: 184,
  B: 188,
  BIAS: 192,
  COLUMNS: 196,
  GRAD_OUT: 200,
  GRAD_Q: 204,
  GRAD_K: 208,
  GRAD_V: 212,
  LSE: 216,
  ROUNDS: 220,
  ROW_STRIDE: 224,
  SPECIAL: 228,
  KEEP_OF_HEAD: 232,
  VOTE_KEYS: 236,
  VOTE_LOCAL: 240,
  MEANS_BLOCK: 244,
  MEANS_MOST: 248,
  MEANS_EXACT: 252,
  MEANS: 256,
  MEANS_ROOM: 260,
  MEANS_FIRST: 264,
  JOIN_FIRST: 268,
  GRAD_MEANS: 272,
  OUTPUTS: 276,
  OUTPUT_STRIDE: 280,
  FIRST_STAGE: 284,
  VOTE_GROUPS: 288,
  STAGE_COUNT: 292,
  STAGE: 296,
} as const;

export type JobField = keyof typeof JOB;
/** What a kernel call sets; absent fields are 0. */
export type JobFields = Partial<Record<JobField, number>>;

/** Bytes of one stage's record from JOB.STAGE on. */
export const STAGE_BYTES = 36;
export const MAX_STAGES = 8;
export const JOB_BYTES = JOB.STAGE + STAGE_BYTES * MAX_STAGES;

const FLOATS: ReadonlySet<JobField> = new Set<JobField>(['SCALE', 'SOFTCAP']);

/** Writes fields at address `job`. */
export function writeJob(memory: WebAssembly.Memory, job: number, fields: JobFields): void {
  const view = new DataView(memory.buffer, job, JOB_BYTES);
  // Many times a token: no list of entries is made of them.
  for (const key in fields) {
    const name = key as JobField;
    const value = fields[name] as number;
    if (FLOATS.has(name)) view.setFloat32(JOB[name], value, true);
    else view.setInt32(JOB[name], value, true);
  }
}
