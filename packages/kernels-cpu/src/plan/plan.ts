// What a call will take, before anything is allocated. Pure numbers, property-tested without running anything.
import { maskCapacity, resolveRemainder, type AttentionShape, type HipConfig } from '@hip/mask-search';
import { alignBytes } from '../runtime/heap.ts';
import { JOB_BYTES } from '../runtime/job.ts';
import {
  appendTokens,
  attendedKeys,
  attentionScratch,
  compactDimsOf,
  compactGroupBytes,
  compactGroups,
  envelopeBytes,
  envelopeChunks,
  meansBytes,
  meansRoom,
  outputLayout,
  pageBytes,
  paddedDim,
  PAGE_TOKENS,
  queryChunks,
  rowLayout,
  searchScratch,
  splitsOf,
  summariesOf,
  type CacheType,
} from './layout.ts';

/** Bytes inside WebAssembly memory, of which there are at most 4 GiB. */
export interface MemoryPlan {
  /** Key-value pages and their table. */
  readonly pages: number;
  /** Parts of q, k, v and the output on their way in and out. */
  readonly staging: number;
  /** The block mask of the queries worked on at a time. */
  readonly mask: number;
  /** Chunk summaries and compact keys of the search, means of the remainder's blocks. */
  readonly envelopes: number;
  /** Scratch of all threads, and partial results of split keys. */
  readonly scratch: number;
  readonly total: number;
  /** Parts the queries are worked on in. */
  readonly chunks: number;
  /** What a materialised score matrix would take: B·H·Tq·Tk floats. */
  readonly materialized: number;
}

export interface PlanInput {
  readonly shape: AttentionShape;
  /** undefined: dense attention. */
  readonly config?: HipConfig | undefined;
  readonly threads: number;
  /** @defaultValue 'f32' */
  readonly type?: CacheType;
}

/** Plans a call on a store that holds `shape.keys` tokens. Nothing is allocated. */
export function planMemory({ shape, config, threads, type = 'f32' }: PlanInput): MemoryPlan {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  const pagesPerBatch = Math.ceil(keys / PAGE_TOKENS);
  const pages = batch * pagesPerBatch * pageBytes(shape, type) + alignBytes(batch * pagesPerBatch * 4);
  const raw = 2 * alignBytes(Math.min(keys, appendTokens(shape)) * kvHeads * headDim * 4);
  const chunks = queryChunks(shape, config?.blockQ);
  const rows = Math.max(...chunks.map((chunk) => chunk.batches * chunk.rows));
  const q = alignBytes(rows * heads * headDim * 4);
  let mask = 0;
  let envelopes = 0;
  let scratch = attentionScratch(headDim);
  if (config) {
    const blocks = Math.max(...chunks.map((chunk) => chunk.batches * Math.ceil(chunk.rows / config.blockQ)));
    const cells = blocks * (config.shareHeads ? 1 : heads);
    mask = alignBytes(cells * maskCapacity(config) * 4) + alignBytes(cells * 4) + alignBytes(heads * 4);
    // What a single row's stages leave for the next rows.
    if (queries === 1) mask += alignBytes(cells * outputLayout(keys, config).stride * 4);
    for (const { chunk } of summariesOf(config))
      envelopes += envelopeBytes(shape, envelopeChunks(keys, config.sink, chunk));
    const { remainder, sink } = config;
    for (const dims of compactDimsOf(config)) {
      const table = batch * kvHeads * compactGroups(keys, sink) * compactGroupBytes(headDim, dims, 'pairs');
      envelopes += alignBytes(table);
    }
    if (remainder) envelopes += meansBytes(shape, meansRoom(keys, sink, resolveRemainder(remainder).block));
    // A single row's window grows while its first stage serves.
    const grown = queries === 1 ? longestRefresh(config) : 0;
    scratch = Math.max(scratch, searchScratch(shape, { ...config, window: config.window + grown }));
  }
  const splits = splitsOf(queries, attendedKeys(keys, config));
  let partials = splits > 1 ? alignBytes(batch * heads * splits * (8 * paddedDim(headDim) + 16) * 4) : 0;
  // A single dense row is first tried by a kernel that splits more, and done by the others where numbers are not finite.
  if (queries === 1 && !config) {
    const row = rowLayout(shape, keys);
    partials = Math.max(partials, alignBytes(row.cells * row.splits * row.partial));
  }
  const staging = Math.max(raw, 2 * q) + alignBytes(JOB_BYTES);
  const total = pages + staging + mask + envelopes + threads * scratch + partials;
  return {
    pages,
    staging,
    mask,
    envelopes,
    scratch: threads * scratch + partials,
    total,
    chunks: chunks.length,
    materialized: batch * heads * queries * keys * 4,
  };
}

/** Most tokens that a stage's output serves for. */
function longestRefresh({ stages = [], refreshInterval }: HipConfig): number {
  return Math.max(refreshInterval, ...stages.map(({ refresh = 0 }) => refresh));
}
