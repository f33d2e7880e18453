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

/** Channels that compact keys hold. */
export type CompactDims = 'all' | 'slow-half';

/** Compact keys that a configuration's stages multiply: a vote and exact stages before it. */
export function compactDimsOf({ stages = [] }: Pick<HipConfig, 'stages'>): readonly CompactDims[] {
  if (stages.at(-1)?.score !== 'mass') return [];
  const found = new Set<CompactDims>();
  for (const stage of stages) if (stage.score === 'exact' || stage.score === 'mass') found.add(stage.dims ?? 'all');
  return [...found];
}

/** Groups of four compact keys, of which one starts at the sink: assembly/cache/compact.ts. */
export function compactGroups(keys: number, sink: number): number {
  return Math.ceil((keys + (-sink & 3)) / 4);
}

/** How a binary holds compact keys: assembly/numbers/integer.ts. */
export type CompactForm = 'bytes' | 'pairs';

export function compactGroupBytes(headDim: number, dims: CompactDims, form: CompactForm): number {
  const depth = dims === 'all' ? headDim : 2 * Math.floor(headDim / 4);
  return Math.ceil(depth / (form === 'bytes' ? 4 : 2)) * 16 + 32;
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

type VoteShape = Pick<HipConfig, 'stages' | 'blockQ' | 'sink' | 'window'>;

/** Most tokens a stage leaves, rounded up to blocks that are voted on. */
function tokensLeft(stage: SearchStage | undefined, keys: number, block: number): number {
  return Math.ceil((stage ? Math.min(stage.keep, keys) : keys) / block + 1) * block;
}

/** Keys whose scores a vote on floats holds: candidates; sinks and windows. */
export function voteRows(
  { keys }: Pick<AttentionShape, 'keys'>,
  { stages = [], blockQ, sink, window }: VoteShape,
): { readonly candidates: number; readonly local: number } {
  const vote = stages.at(-1);
  if (vote?.score !== 'mass') return { candidates: 0, local: 0 };
  const most = Math.floor(VOTE_BYTES / (Math.ceil(blockQ / 8) * 32));
  const own = tokensLeft(stages.at(-2), keys, vote.chunk);
  const candidates = own <= most ? own : 0;
  const local = Math.min(keys, window + blockQ) + Math.min(keys, sink);
  return { candidates, local: candidates + local <= most ? local : 0 };
}

/** Bytes of a vote's scratch for each group of compact keys: its record, scores for eight rows, masses. */
const VOTE_GROUP_BYTES = 32 + 4 * 32 + 4 * 16;

/** Groups of compact keys that a vote has room for: candidates run by run, sinks and windows. */
export function voteGroups(
  { keys }: Pick<AttentionShape, 'keys'>,
  { stages = [], blockQ, sink, window }: VoteShape,
): number {
  const [before, vote] = [stages.at(-2), stages.at(-1)];
  if (vote?.score !== 'mass') return 0;
  const runs = before && before.chunk % 4 !== 0 ? Math.ceil(Math.min(before.keep, keys) / before.chunk) + 1 : 1;
  const tokens =
    tokensLeft(before, keys, Math.max(4, vote.chunk)) + Math.min(keys, window + blockQ) + Math.min(keys, sink);
  // A run that ends inside groups has two more.
  return Math.min(Math.ceil(tokens / 4) + 2 * runs + 4, Math.floor(VOTE_BYTES / VOTE_GROUP_BYTES));
}

/** Bytes of a vote's scratch: assembly/search/vote.ts, compact-vote.ts. */
function voteScratch(shape: Pick<AttentionShape, 'keys'>, config: HipConfig): number {
  if (config.stages?.at(-1)?.score !== 'mass') return 0;
  const { candidates, local } = voteRows(shape, config);
  const groups = voteGroups(shape, config);
  const compact = groups * VOTE_GROUP_BYTES + Math.floor(groups / 16 + 1) * 32;
  return 64 + Math.max((3 + candidates + local + 8) * Math.ceil(config.blockQ / 8) * 32, compact);
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

/** Query heads of a work item of a single row's dense attention, and keys whose scores are held: assembly/attention/row.ts. */
export const ROW_LANES = 4;
const ROW_STEP = 64;
/** Most parts that its keys are split into. */
const ROW_SPLITS = 64;

/**
 * A single row's dense attention over `seen` keys: parts of a key head's queries, cells that are split, keys of a split and their
 * number, bytes of a partial result and of a thread's scratch. By the shape alone, so that results do not depend on the number of
 * threads.
 */
export function rowLayout(
  { batch, heads, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'heads' | 'kvHeads' | 'headDim'>,
  seen: number,
) {
  const parts = Math.ceil(heads / kvHeads / ROW_LANES);
  const run = PAGE_TOKENS * Math.ceil(seen / (PAGE_TOKENS * ROW_SPLITS));
  const line = 16 * paddedDim(headDim);
  return {
    parts,
    cells: batch * kvHeads * parts,
    run,
    splits: Math.ceil(seen / run),
    partial: 48 + line,
    stride: alignBytes(ROW_STEP * 16 + line + 16),
  };
}
