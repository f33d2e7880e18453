// What is asked at the end of a prompt's chunks: whether all was finite, and logits or candidates of the last row.
import type { GpuCall } from '@hip/kernels-webgpu';
import { encodeFinite, encodeTop, readTop, topBytes } from '@hip/kernels-webgpu/model';
import { CANDIDATES, checkLogits, nonFinite } from '../checks.ts';
import type { StepResult } from './batch.ts';
import { candidatesFrom } from './candidates.ts';
import type { WebgpuModel } from './model.ts';
import { copyOut, type Staging } from './readback.ts';
import type { Want } from './scheduler.ts';

/** Where a submit leaves what is read at the end. */
export interface Outputs {
  /** A word a chunk: which row is not finite. */
  readonly found: Staging;
  /** Of the last row. */
  readonly last: Staging | undefined;
}

/** Adds the search for what is not finite, and what is asked of the last row. */
export function encodeOutputs(
  model: WebgpuModel,
  call: GpuCall,
  { rows, index }: { readonly rows: number; readonly index: number },
  want: Want,
  { found, last }: Outputs,
): void {
  const { chunk, config } = model;
  const word = { buffer: call.scratch(4, 'rows that are not finite') };
  encodeFinite(call, { x: chunk.tensors.hidden, found: word }, { rows, width: config.hiddenSize });
  copyOut(call, word, found, 4 * index, 4);
  if (last && want.kind !== 'none') encodeEnd(model, call, rows, want, last);
}

/** Adds the head of the last row, and the copy of what is asked of it. */
function encodeEnd(
  model: WebgpuModel,
  call: GpuCall,
  rows: number,
  want: Exclude<Want, { kind: 'none' }>,
  last: Staging,
): void {
  const { chunk, decoder, config } = model;
  const { last: hidden, logits } = chunk.tensors;
  decoder.take(call, chunk, rows - 1, 1);
  decoder.head(call, hidden, logits, 1);
  const size = outputBytes(model, want);
  if (want.kind === 'logits') {
    copyOut(call, logits, last, 0, size);
    return;
  }
  const out = { buffer: call.scratch(size, 'candidates') };
  const options = { rows: 1, vocabulary: config.vocabSize, count: CANDIDATES, temperature: want.temperature };
  encodeTop(call, { logits, out }, options);
  copyOut(call, out, last, 0, size);
}

export function outputBytes({ config }: WebgpuModel, want: Want): number {
  if (want.kind === 'logits') return 4 * config.vocabSize;
  return topBytes({ rows: 1, vocabulary: config.vocabSize, count: CANDIDATES });
}

/** What was asked of the last row. */
export function resultOf({ config }: WebgpuModel, want: Want, bytes: ArrayBuffer, position: number): StepResult {
  if (want.kind !== 'candidates') {
    const logits = new Float32Array(bytes);
    checkLogits(logits, logits.length, position);
    return logits;
  }
  const [found] = readTop(bytes, { rows: 1, vocabulary: config.vocabSize, count: CANDIDATES });
  if (!found || found.nonFinite > 0) throw nonFinite(position);
  return candidatesFrom(found, config.vocabSize, want.temperature);
}
