// Attention over a store, in steps: part after part of the queries.
import { emptyMask, type AttentionShape, type BlockMask, type HipConfig } from '@hip/mask-search';
import { attendedKeys, attentionScratch, queryChunks, ROWS, searchScratch, type QueryChunk } from '../plan/layout.ts';
import type { Steps } from './engine.ts';
import { maskFields, Part, type Call } from './part.ts';

/** Share of a HiP call's work that is the search, for progress. */
const SEARCH_SHARE = 0.25;

/** Exact attention. */
export function* denseSteps(call: Call, q: Float32Array, out: Float32Array, causal: boolean): Steps<void> {
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

/** What {@link hipSteps} does: search, attend, or both. */
export interface HipWork {
  readonly config: HipConfig;
  readonly q: Float32Array;
  /** Where the attention goes; absent: search only. */
  readonly out?: Float32Array | undefined;
}

/** Search, and attention over what it finds. @returns the mask */
export function* hipSteps(call: Call, { config, q, out }: HipWork): Steps<BlockMask> {
  const { shape, store } = call;
  const start = performance.now();
  store.updateEnvelopes(config);
  call.engine.times.search += performance.now() - start;
  const mask = emptyMask(shape, config, Math.ceil(config.k / config.blockK));
  const chunks = queryChunks(shape, config.blockQ);
  const scratch = Math.max(attentionScratch(shape.headDim), searchScratch(shape, config));
  for (const [index, chunk] of chunks.entries()) {
    using part = new Part(call, chunk, maskFields(mask), scratch);
    part.load(q);
    const share = out ? SEARCH_SHARE : 1;
    yield* progress(index, chunks.length, part.search(config, mask), 0, share);
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
  for (const [index, chunk] of chunks.entries()) {
    using part = new Part(call, chunk, maskFields(mask), attentionScratch(shape.headDim));
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

function sparseItems({ heads }: AttentionShape, { blockQ }: BlockMask, { rows }: QueryChunk): number {
  return heads * Math.ceil(rows / blockQ) * Math.ceil(blockQ / ROWS);
}

/** Maps a part's progress into the whole's. */
function* progress(index: number, count: number, steps: Steps<void>, from = 0, to = 1): Steps<void> {
  for (const done of steps) yield (index + from + (to - from) * done) / count;
}
