// Attention over a store, in steps: part after part of the queries.
import { emptyMask, maskCapacity, type AttentionShape, type BlockMask, type HipConfig } from '@hip/mask-search';
import {
  attendedKeys,
  attentionScratch,
  queryChunks,
  ROWS,
  searchScratch,
  SPLIT_ROWS,
  type QueryChunk,
} from '../plan/layout.ts';
import type { Steps } from './engine.ts';
import type { JobFields } from './job.ts';
import { attendRow } from './row.ts';
import { maskFields, Part, type Call, type StagedSearch } from './part.ts';

/** Share of a HiP call's work that is the search, for progress. */
const SEARCH_SHARE = 0.25;

/** Exact attention. */
export function* denseSteps(call: Call, q: Float32Array, out: Float32Array, causal: boolean): Steps<void> {
  const { shape } = call;
  if (shape.queries === 1) {
    yield* denseRow(call, q, out);
    return;
  }
  yield* denseTiles(call, q, out, causal);
}

/** The newest token, which sees every key; heads that are not finite go the careful way. */
function* denseRow(call: Call, q: Float32Array, out: Float32Array): Steps<void> {
  const { heap } = call.engine;
  const { heads, kvHeads, headDim } = call.shape;
  const read = (at: number): void => heap.floats(at, q.length).set(q);
  const write = (at: number): void => out.set(heap.floats(at, q.length));
  const flagged = attendRow(call, Infinity, read, write);
  if (flagged.length === 0) return;
  const group = heads / kvHeads;
  const careful = new Float32Array(out.length);
  if (group > 1 && group <= SPLIT_ROWS) yield* denseGroups(call, q, careful, group);
  else yield* denseTiles(call, q, careful, false);
  for (const head of flagged) out.set(careful.subarray(head * headDim, (head + 1) * headDim), head * headDim);
}

function* denseTiles(call: Call, q: Float32Array, out: Float32Array, causal: boolean): Steps<void> {
  const { shape } = call;
  const chunks = queryChunks(shape);
  for (const [index, chunk] of chunks.entries()) {
    using part = new Part(call, chunk, { CAUSAL: causal ? 1 : 0 }, attentionScratch(shape.headDim));
    part.load(q);
    yield* progress(
      index,
      chunks.length,
      part.attend('denseAttention', shape.heads * Math.ceil(chunk.rows / ROWS), attendedKeys(shape.keys)),
    );
    part.store(out);
  }
}

/** The newest token alone: the heads that share keys are rows of one tile, so keys and values are read once for all of them. */
function* denseGroups(call: Call, q: Float32Array, out: Float32Array, group: number): Steps<void> {
  const { batch, kvHeads, headDim } = call.shape;
  const rows = new Float32Array(q.length);
  const attended = new Float32Array(q.length);
  // [B, Hkv, group, d] and [B, group, Hkv, d].
  const swap = (from: Float32Array, to: Float32Array, outer: number, inner: number): void => {
    for (let at = 0; at < batch * outer * inner; at++) {
      const entry = Math.floor(at / (outer * inner));
      const [i, j] = [Math.floor(at / inner) % outer, at % inner];
      const target = ((entry * inner + j) * outer + i) * headDim;
      to.set(from.subarray(at * headDim, (at + 1) * headDim), target);
    }
  };
  swap(q, rows, kvHeads, group);
  const shape = { ...call.shape, queries: group, heads: kvHeads };
  yield* denseTiles({ ...call, shape }, rows, attended, false);
  swap(attended, out, group, kvHeads);
}

/** What {@link hipSteps} does: search, attend, or both. */
export interface HipWork {
  readonly config: HipConfig;
  readonly q: Float32Array;
  /** Where the attention goes; absent: search only. */
  readonly out?: Float32Array | undefined;
  /** The rows' window, grown since the first stage ran. @defaultValue the configuration's */
  readonly window?: number | undefined;
  /** Of a single row: stages that are left out, and where the others' outputs go. */
  readonly staged?: StagedSearch | undefined;
}

/** Search, and attention over what it finds. @returns the mask */
export function* hipSteps(call: Call, { config, q, out, window = config.window, staged }: HipWork): Steps<BlockMask> {
  const { shape, store } = call;
  const start = performance.now();
  store.update({ sink: config.sink, stages: config.stages?.slice(staged?.from ?? 0) });
  call.engine.times.search += performance.now() - start;
  const mask = emptyMask(shape, { ...config, window }, maskCapacity(config));
  if (out) updateMeans(call, mask);
  const chunks = queryChunks(shape, config.blockQ);
  const scratch = Math.max(attentionScratch(shape.headDim), searchScratch(shape, { ...config, window }));
  for (const [index, chunk] of chunks.entries()) {
    using part = new Part(call, chunk, fieldsOf(call, mask, chunk), scratch);
    part.load(q);
    const share = out ? SEARCH_SHARE : 1;
    yield* progress(index, chunks.length, part.search(config, mask, staged), 0, share);
    part.readMask(mask);
    if (!out) continue;
    yield* progress(
      index,
      chunks.length,
      part.attend('sparseAttention', sparseItems(shape, mask, chunk), attendedKeys(shape.keys, config)),
      share,
      1,
    );
    part.store(out);
  }
  return mask;
}

/** Attention over a mask found before. */
export function* maskedSteps(call: Call, q: Float32Array, out: Float32Array, mask: BlockMask): Steps<void> {
  const { shape } = call;
  const chunks = queryChunks(shape, mask.blockQ);
  const keys = mask.capacity * mask.blockK + mask.window + mask.sink;
  updateMeans(call, mask);
  for (const [index, chunk] of chunks.entries()) {
    using part = new Part(call, chunk, fieldsOf(call, mask, chunk), attentionScratch(shape.headDim));
    part.load(q);
    part.writeMask(mask);
    yield* progress(
      index,
      chunks.length,
      part.attend('sparseAttention', sparseItems(shape, mask, chunk), Math.min(shape.keys, keys)),
    );
    part.store(out);
  }
}

/** Brings the means that a mask's remainder reads up to date. */
export function updateMeans({ store, engine }: Pick<Call, 'store' | 'engine'>, { sink, remainder }: BlockMask): void {
  if (!remainder) return;
  const start = performance.now();
  store.updateMeans(sink, remainder);
  engine.times.attention += performance.now() - start;
}

/** Job fields of a mask and of what its remainder reads. */
function fieldsOf({ store }: Call, mask: BlockMask, { batch }: QueryChunk): JobFields {
  const { sink, remainder } = mask;
  return { ...maskFields(mask), ...(remainder && store.means.fields(sink, remainder, batch)) };
}

function sparseItems({ heads }: AttentionShape, { blockQ }: BlockMask, { rows }: QueryChunk): number {
  return heads * Math.ceil(rows / blockQ) * Math.ceil(blockQ / ROWS);
}

/** Maps a part's progress into the whole's. */
function* progress(index: number, count: number, steps: Steps<void>, from = 0, to = 1): Steps<void> {
  for (const done of steps) yield (index + from + (to - from) * done) / count;
}
