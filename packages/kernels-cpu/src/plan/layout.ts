// Sizes the kernels are built on, and what follows from them. The constants repeat those of assembly/.
import { maskCapacity, type AttentionShape, type HipConfig, type SearchStage } from '@hip/mask-search';
import { alignBytes } from '../runtime/heap.ts';

/** Tokens of a key-value page: assembly/cache/pages.ts. */
export const PAGE_TOKENS = 256;
/** Query rows of an attention tile, keys of a step: assembly/attention/context.ts. */
export const ROWS = 64;
/** Tokens of an append work item. */
export const APPEND_RUN = 64;
/** Rows and panels of a matrix product's work item: assembly/matrix/gemm.ts. */
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

/** Base blocks of a remainder that there is room for: a power of two, so that larger blocks follow at known places. */
export function meansRoom(keys: number, sink: number, block: number): number {
  const blocks = Math.floor(Math.max(0, keys - sink) / block);
  return blocks === 0 ? 0 : 2 ** Math.ceil(Math.log2(blocks));
}

/** Bytes of the means of a remainder's blocks: assembly/cache/means.ts. */
export function meansBytes(
  { batch, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>,
  room: number,
): number {
  return room === 0 ? 0 : alignBytes(batch * kvHeads * 2 * room * 2 * paddedDim(headDim) * 4);
}

/** How chunks are summarised: elementwise bounds, or means and deviations. */
export interface Summary {
  readonly score: 'bound' | 'deviation';
  readonly chunk: number;
}

/** The summaries that a configuration's stages read, each once. */
export function summariesOf({ stages = [] }: Pick<HipConfig, 'stages'>): readonly Summary[] {
  const found = new Map<string, Summary>();
  for (const { score, chunk } of stages)
    if (score === 'bound' || score === 'deviation') found.set(`${score} ${chunk}`, { score, chunk });
  return [...found.values()];
}

/** Where a cell's stage outputs lie (all but the last stage's), in words, and how many words they take. */
export function outputLayout(
  keys: number,
  { stages = [] }: Pick<HipConfig, 'stages'>,
): { readonly offsets: readonly number[]; readonly stride: number } {
  const offsets: number[] = [];
  let stride = 0;
  for (const { chunk, keep } of stages.slice(0, -1)) {
    offsets.push(stride);
    stride += 1 + Math.min(keep / chunk, Math.ceil(keys / chunk));
  }
  return { offsets, stride };
}

/** Most bytes of scores that a vote holds for each thread; what does not fit is multiplied anew in each of its passes. */
const VOTE_BYTES = 4 * 2 ** 20;

/**
 * Keys whose scores a vote holds: candidates (those of the stage before it too, where it multiplies the same rows and channels), and
 * sinks and windows.
 */
export function voteRows(
  { keys }: Pick<AttentionShape, 'keys'>,
  { stages = [], blockQ, sink, window }: Pick<HipConfig, 'stages' | 'blockQ' | 'sink' | 'window'>,
): { readonly candidates: number; readonly local: number } {
  const vote = stages.at(-1);
  if (vote?.score !== 'mass') return { candidates: 0, local: 0 };
  const most = Math.floor(VOTE_BYTES / (Math.ceil(blockQ / 8) * 32));
  const room = (stage: SearchStage | undefined): number =>
    Math.ceil((stage ? Math.min(stage.keep, keys) : keys) / vote.chunk + 1) * vote.chunk;
  const before = stages.at(-2);
  const own = room(before);
  const shared = before?.score === 'exact' && before.strideQ === 1 && (before.dims ?? 'all') === (vote.dims ?? 'all');
  const all = shared ? room(stages.at(-3)) + before.chunk : own;
  const candidates = [all, own].find((rows) => rows <= most) ?? 0;
  const local = Math.min(keys, window + blockQ) + Math.min(keys, sink);
  return { candidates, local: candidates + local <= most ? local : 0 };
}

/** Bytes of a vote's scratch: assembly/search/vote.ts. */
function voteScratch(shape: Pick<AttentionShape, 'keys'>, config: HipConfig): number {
  if (config.stages?.at(-1)?.score !== 'mass') return 0;
  const { candidates, local } = voteRows(shape, config);
  return 64 + (3 + candidates + local + 8) * Math.ceil(config.blockQ / 8) * 32;
}

/** Most candidates any stage holds, with the headroom of its expansion. */
export function maxCandidates(keys: number, config: HipConfig): number {
  const { stages } = config;
  if (!stages) return 2 * maskCapacity(config);
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

/** Operations of one query block's search, for slices of asynchronous calls. */
export function searchFlops({ keys, headDim }: Pick<AttentionShape, 'keys' | 'headDim'>, config: HipConfig): number {
  const { stages, blockQ, k } = config;
  if (!stages) return k * 16 * headDim * 32;
  let [tokens, total] = [keys, 0];
  for (const stage of stages) {
    const { chunk, keep, score, strideQ = 1 } = stage;
    const reads = { binary: 2 * Math.log2(2 * chunk), bound: 2, deviation: 2, exact: chunk, mass: chunk }[score];
    // A weight of a vote costs about as much as sixteen products.
    const depth = ('dims' in stage && stage.dims === 'slow-half' ? headDim / 2 : headDim) + (score === 'mass' ? 16 : 0);
    total += (tokens / chunk) * reads * Math.ceil(blockQ / strideQ) * 2 * depth;
    tokens = Math.min(tokens, keep);
  }
  return total;
}

/** Scratch bytes of one thread of attention: assembly/attention/context.ts. */
export function attentionScratch(headDim: number): number {
  return alignBytes(2368 + ROWS * 320 + 4 * ROWS * paddedDim(headDim) * 4);
}

/** Scratch bytes of one thread of the gradient: assembly/attention/gradient.ts. */
export function gradientScratch(headDim: number): number {
  return attentionScratch(headDim) + alignBytes(4 * ROWS * paddedDim(headDim) * 4 + 3 * ROWS * 320 + 4 * ROWS * 4);
}

/** Scratch bytes of one thread of a search: assembly/search/. */
export function searchScratch(
  { heads, keys, headDim }: Pick<AttentionShape, 'heads' | 'keys' | 'headDim'>,
  config: HipConfig,
): number {
  const panels = Math.ceil(config.blockQ / 8);
  const panel = paddedDim(headDim) * 32;
  const products = 2 * ROWS * panels * 32;
  const sampled = (config.shareHeads && !config.stages ? heads : 1) * 2 * panels * panel;
  const lists = 5 * maxCandidates(keys, config) * 4 + 512;
  return alignBytes(
    832 +
      products +
      panels * panel +
      ROWS * paddedDim(headDim) * 4 +
      sampled +
      lists +
      voteScratch({ keys }, config) +
      64,
  );
}
