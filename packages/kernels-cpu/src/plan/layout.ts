// Sizes the kernels are built on, and what follows from them. The constants repeat those of assembly/.
import type { AttentionShape, HipConfig } from '@hip/mask-search';
import { alignBytes } from '../runtime/heap.ts';

/** Tokens of a key-value page: assembly/pages.ts. */
export const PAGE_TOKENS = 256;
/** Query rows of an attention tile, keys of a step: assembly/context.ts. */
export const ROWS = 64;
/** Tokens of an append work item. */
export const APPEND_RUN = 64;
/** Rows and panels of a matrix product's work item: assembly/gemm.ts. */
export const GEMM_ROWS = 64;
export const GEMM_PANELS = 16;
/** Rows that are turned at a time where the left factor is stored transposed. */
export const GEMM_STRIPE = 16;
/** Bytes of q (and of the output), and of raw keys and values, that are inside WebAssembly memory at a time. */
const STAGING_BYTES = 16 * 2 ** 20;
/** Below this many rows the keys of a tile are split into parts, so that decoding one row uses every thread. */
export const SPLIT_ROWS = 8;
/** Keys of a part. */
const SPLIT_KEYS = 2048;
const MAX_SPLITS = 32;

/** Number formats of a key-value store. */
export type CacheType = 'f32' | 'f16';

export function paddedDim(headDim: number): number {
  return Math.ceil(headDim / 8) * 8;
}

/** Bytes of a page of keys and values. */
export function pageBytes({ kvHeads, headDim }: Pick<AttentionShape, 'kvHeads' | 'headDim'>, type: CacheType): number {
  return alignBytes(2 * kvHeads * PAGE_TOKENS * paddedDim(headDim) * (type === 'f16' ? 2 : 4));
}

/** A part of the queries worked on at a time: batch entries [batch, batch + batches), rows [row, row + rows). */
export interface QueryChunk {
  readonly batch: number;
  readonly batches: number;
  readonly row: number;
  readonly rows: number;
}

/** Splits the queries so that each part's q fits the staging area. Rows split at multiples of `blockQ`. */
export function queryChunks(
  { batch, queries, heads, headDim }: Pick<AttentionShape, 'batch' | 'queries' | 'heads' | 'headDim'>,
  blockQ = ROWS,
): QueryChunk[] {
  const rowBytes = heads * headDim * 4;
  if (batch * queries * rowBytes <= 2 * STAGING_BYTES) return [{ batch: 0, batches: batch, row: 0, rows: queries }];
  const step = Math.max(1, Math.floor(STAGING_BYTES / rowBytes / blockQ)) * blockQ;
  const chunks: QueryChunk[] = [];
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < queries; row += step)
      chunks.push({ batch: b, batches: 1, row, rows: Math.min(step, queries - row) });
  }
  return chunks;
}

/** Tokens that are appended at a time. */
export function appendTokens({ kvHeads, headDim }: Pick<AttentionShape, 'kvHeads' | 'headDim'>): number {
  return Math.max(APPEND_RUN, Math.floor(STAGING_BYTES / (kvHeads * headDim * 4) / APPEND_RUN) * APPEND_RUN);
}

/** Parts the keys are split into. Depends on the shape alone, so that results do not depend on the number of threads. */
export function splitsOf(queries: number, attendedKeys: number): number {
  return queries > SPLIT_ROWS ? 1 : Math.min(MAX_SPLITS, Math.max(1, Math.floor(attendedKeys / SPLIT_KEYS)));
}

/** Most keys a row attends to under a configuration. */
export function attendedKeys(keys: number, config?: Pick<HipConfig, 'k' | 'window' | 'sink'>): number {
  return config ? Math.min(keys, config.k + config.window + config.sink) : keys;
}

/** Chunks of a stage's envelope per (batch, kv head). */
export function envelopeChunks(keys: number, sink: number, chunk: number): number {
  return Math.max(0, Math.ceil((keys - sink) / chunk));
}

export function envelopeBytes(
  { batch, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>,
  chunks: number,
): number {
  return alignBytes(batch * kvHeads * chunks * 2 * paddedDim(headDim) * 4);
}

/** Chunk sizes whose envelopes a configuration needs. */
export function boundChunks(config: Pick<HipConfig, 'stages'>): number[] {
  return [...new Set((config.stages ?? []).filter(({ score }) => score === 'bound').map(({ chunk }) => chunk))];
}

/** Most candidates any stage holds, with the headroom of its expansion. */
export function maxCandidates(keys: number, config: HipConfig): number {
  const { stages } = config;
  if (!stages) return 2 * Math.ceil(config.k / config.blockK);
  let most = 1;
  let chunkBefore = keys;
  let have = 1;
  for (const { chunk, keep } of stages) {
    const expanded = have * Math.ceil(chunkBefore / chunk);
    most = Math.max(most, expanded);
    have = Math.max(1, Math.min(expanded, keep / chunk));
    chunkBefore = chunk;
  }
  return most;
}

/** Scratch bytes of one thread of attention: assembly/context.ts. */
export function attentionScratch(headDim: number): number {
  return alignBytes(2112 + ROWS * 320 + 4 * ROWS * paddedDim(headDim) * 4);
}

/** Scratch bytes of one thread of the gradient: assembly/gradient.ts. */
export function gradientScratch(headDim: number): number {
  return attentionScratch(headDim) + alignBytes(4 * ROWS * paddedDim(headDim) * 4 + 3 * ROWS * 320 + 4 * ROWS * 4);
}

/** Scratch bytes of one thread of a search: assembly/score.ts, staged.ts, tree.ts. */
export function searchScratch(
  { heads, keys, headDim }: Pick<AttentionShape, 'heads' | 'keys' | 'headDim'>,
  config: HipConfig,
): number {
  const panels = Math.ceil(config.blockQ / 8);
  const panel = paddedDim(headDim) * 32;
  const products = ROWS * panels * 32;
  const sampled = (config.shareHeads && !config.stages ? heads : 1) * 2 * panels * panel;
  const lists = 5 * maxCandidates(keys, config) * 4 + 512;
  return alignBytes(832 + products + panels * panel + ROWS * paddedDim(headDim) * 4 + sampled + lists + 64);
}
