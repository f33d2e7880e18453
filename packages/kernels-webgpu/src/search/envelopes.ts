// encodeEnvelope: the passes that bound each chunk's keys, over all of them or only what is new.
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { bytesOf } from '../device/features.ts';
import { ENVELOPE, ENVELOPE_LANES, envelopeCode } from './code/envelope.ts';
import { memoCode } from './code/memo.ts';
import type { SearchPlan } from './plan.ts';
import { windowsOf } from './slabs.ts';

/** Envelopes by chunk size, [B, Hkv, rows, 2, d]. */
export interface Envelopes {
  /** Chunks for which each head has room. */
  rows(chunk: number): number;
  buffer(chunk: number): BufferRange;
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

/** Adds the passes that compute chunks [firstChunk, endChunk) of an envelope. */
export function encodeEnvelope(call: GpuCall, plan: Pick<SearchPlan, 'request'>, update: EnvelopeUpdate): void {
  const { shape, config, type, limits, keyRows = shape.keys, pageShift } = plan.request;
  const { batch, kvHeads, headDim } = shape;
  const { k, pages, envelope, chunk, chunks, firstChunk, endChunk, keys } = update;
  if (endChunk <= firstChunk) return;
  const { sink } = config;
  const rowBytes = kvHeads * headDim * bytesOf(type);
  const code = memoCode(envelopeCode, { headDim, type, sink, chunk, pageShift });
  const most = limits.maxComputeWorkgroupsPerDimension;
  const whole = batch * keyRows * rowBytes <= limits.maxStorageBufferBindingSize;
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } = limits;
  const pieces = whole
    ? [
        {
          batch: 0,
          batches: batch,
          base: 0,
          range: { offset: 0, size: batch * keyRows * rowBytes },
          first: firstChunk,
          end: endChunk,
        },
      ]
    : Array.from({ length: batch }, (_, b) =>
        // A chunk that crosses a window's end belongs to the next: windows overlap by a chunk.
        windowsOf({ rows: keys, rowBytes, limit, alignment, firstRow: b * keyRows, overlap: chunk + sink }).map(
          (window, i, all) => ({
            batch: b,
            batches: 1,
            base: window.base,
            range: window.range,
            first: Math.max(firstChunk, i === 0 ? 0 : Math.ceil((window.first - sink) / chunk)),
            end: Math.min(endChunk, i === all.length - 1 ? endChunk : Math.ceil((all[i + 1]!.first - sink) / chunk)),
          }),
        ),
      ).flat();
  for (const piece of pieces) {
    if (piece.end <= piece.first) continue;
    const lanes = (piece.end - piece.first) * kvHeads * (headDim / 8);
    const groups = Math.ceil(lanes / ENVELOPE_LANES);
    const x = Math.min(groups, most);
    call.pass({
      label: `search/envelope-${chunk}`,
      pipeline: { label: `envelope ${chunk}`, code },
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
