// encodeEnvelope: the passes that bound each chunk's keys, over all of them or only what is new.
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { bytesOf, type ElementType } from '../device/features.ts';
import { ENVELOPE, ENVELOPE_LANES, envelopeCode, type SummaryScore } from './code/envelope.ts';
import { memoCode } from './code/memo.ts';
import type { SearchPlan } from './plan.ts';
import { windowsOf } from './slabs.ts';
import type { DeviceLimits } from '../device/limits.ts';

/** A summary of chunks that stages read: which, of how long chunks, stored how. */
export interface Summary {
  readonly score: SummaryScore;
  readonly chunk: number;
  readonly store: ElementType;
}

/** Summaries of chunks, [B, Hkv, rows, 2, d]. */
export interface Envelopes {
  /** Chunks for which each head has room. */
  rows(chunk: number): number;
  buffer(summary: Summary): BufferRange;
}

/** Part of a tensor's buffer, as a binding. */
export function part(
  { buffer, offset = 0 }: GpuTensor,
  range: { readonly offset: number; readonly size: number },
): BufferRange {
  // Eight f16 are read as four u32.
  return { buffer, offset: offset + range.offset, size: Math.ceil(range.size / 16) * 16 };
}

/** What {@link encodeEnvelope} computes. */
export interface EnvelopeUpdate {
  readonly k: GpuTensor;
  readonly pages?: BufferRange | undefined;
  readonly envelope: BufferRange;
  readonly chunk: number;
  /** What is computed. @defaultValue 'bound' */
  readonly score?: SummaryScore | undefined;
  /** How it is stored. @defaultValue as the keys */
  readonly store?: ElementType | undefined;
  /** Chunks for which each head has room. */
  readonly chunks: number;
  /** [firstChunk, endChunk) are computed. */
  readonly firstChunk: number;
  readonly endChunk: number;
  /** Tk */
  readonly keys: number;
  /** A uniform buffer with {@link envelopeUniform}'s bytes, for prepared calls; then the chunks say how many there can be. */
  readonly uniform?: BufferRange | undefined;
}

/** The uniform of an envelope pass over one whole key binding. */
export function envelopeUniform(
  { request: { shape, keyRows = shape.keys } }: Pick<SearchPlan, 'request'>,
  { keys, firstChunk, endChunk, chunks }: Pick<EnvelopeUpdate, 'keys' | 'firstChunk' | 'endChunk' | 'chunks'>,
): ArrayBuffer {
  return ENVELOPE.pack({
    batchFirst: 0,
    keys,
    keyBase: 0,
    keyRows,
    kvHeads: shape.kvHeads,
    firstChunk,
    endChunk,
    envelopeChunks: chunks,
  });
}

/** Chunks [first, end) of keys whose keys one binding holds. */
export interface ChunkPiece {
  readonly batch: number;
  readonly batches: number;
  /** Row of k, batches counted through, at which the binding starts, and the bytes that are bound. */
  readonly base: number;
  readonly range: { readonly offset: number; readonly size: number };
  readonly first: number;
  readonly end: number;
}

/** Cuts passes over chunks of keys so that every binding fits; empty pieces are left out. */
export function chunkPieces({
  batch,
  keyRows,
  keys,
  rowBytes,
  limits,
  sink,
  chunk,
  first,
  end,
}: {
  readonly batch: number;
  readonly keyRows: number;
  readonly keys: number;
  readonly rowBytes: number;
  readonly limits: DeviceLimits;
  readonly sink: number;
  readonly chunk: number;
  readonly first: number;
  readonly end: number;
}): ChunkPiece[] {
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } = limits;
  const size = batch * keyRows * rowBytes;
  if (size <= limit) return [{ batch: 0, batches: batch, base: 0, range: { offset: 0, size }, first, end }];
  return Array.from({ length: batch }, (_, b) =>
    // A chunk that crosses a window's end belongs to the next: windows overlap by a chunk.
    windowsOf({ rows: keys, rowBytes, limit, alignment, firstRow: b * keyRows, overlap: chunk + sink }).map(
      (window, i, all) => ({
        batch: b,
        batches: 1,
        base: window.base,
        range: window.range,
        first: Math.max(first, i === 0 ? 0 : Math.ceil((window.first - sink) / chunk)),
        end: Math.min(end, i === all.length - 1 ? end : Math.ceil((all[i + 1]!.first - sink) / chunk)),
      }),
    ),
  )
    .flat()
    .filter((piece) => piece.end > piece.first);
}

/** Adds the passes that compute chunks [firstChunk, endChunk) of an envelope. */
export function encodeEnvelope(call: GpuCall, plan: Pick<SearchPlan, 'request'>, update: EnvelopeUpdate): void {
  const { shape, config, type, limits, keyRows = shape.keys, pageShift } = plan.request;
  const { batch, kvHeads, headDim } = shape;
  const { k, pages, envelope, chunk, chunks, firstChunk, endChunk, keys, score = 'bound', store = type } = update;
  if (endChunk <= firstChunk) return;
  const { sink } = config;
  const rowBytes = kvHeads * headDim * bytesOf(type);
  const code = memoCode(envelopeCode, { headDim, type, score, store, sink, chunk, pageShift });
  const most = limits.maxComputeWorkgroupsPerDimension;
  const pieces = chunkPieces({ batch, keyRows, keys, rowBytes, limits, sink, chunk, first: firstChunk, end: endChunk });
  for (const piece of pieces) {
    const lanes = (piece.end - piece.first) * kvHeads * (headDim / 8);
    const groups = Math.ceil(lanes / ENVELOPE_LANES);
    const x = Math.min(groups, most);
    call.pass({
      label: `search/${score === 'bound' ? 'envelope' : 'moments'}-${chunk}`,
      pipeline: { label: `${score} ${chunk}`, code },
      bindings: [
        update.uniform ?? {
          uniform: ENVELOPE.pack({
            batchFirst: piece.batch,
            keys,
            keyBase: piece.base,
            keyRows,
            kvHeads,
            firstChunk: piece.first,
            endChunk: piece.end,
            envelopeChunks: chunks,
          }),
        },
        part(k, piece.range),
        envelope,
        ...(pageShift === undefined ? [] : [pages!]),
      ],
      workgroups: [x, piece.batches, Math.ceil(groups / x)],
    });
  }
}
