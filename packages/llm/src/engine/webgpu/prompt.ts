// Many tokens of one sequence through the layers, a chunk at a time; logits of the rows that are asked for, and whether all was finite.
import { GpuCall, type ModelSession } from '@hip/kernels-webgpu';
import { encodeFinite, encodeTop, nonFiniteRow, readTop, topBytes } from '@hip/kernels-webgpu/model';
import { throwIfAborted } from '../../errors.ts';
import { CANDIDATES, checkLogits, nonFinite } from '../checks.ts';
import type { ForwardOptions } from '../types.ts';
import type { StepResult } from './batch.ts';
import { candidatesFrom } from './candidates.ts';
import type { WebgpuModel } from './model.ts';
import { writeRun } from './positions.ts';
import { copyOut, type Staging } from './readback.ts';
import { readRows, type RowsWant } from './row-outputs.ts';
import type { Want } from './scheduler.ts';

/** Chunks that the GPU may have before it: one that it computes, and one more. */
const MOST_AHEAD = 2;

/** Submits of a prompt's first chunk: the GPU begins while the host still encodes. */
const FIRST_PARTS = 4;

/** Bytes of scratch that stay between prompts. */
const MOST_SCRATCH = 256 * 2 ** 20;

/** Tokens to append. */
export interface Prompt {
  readonly ids: ArrayLike<number>;
  readonly session: ModelSession;
  /** Position of the first. */
  readonly first: number;
  readonly total: number;
  /** Leading ids whose logits nobody asks for. */
  readonly skip: number;
}

/** Ends a call between two chunks. */
interface Control extends Pick<ForwardOptions, 'signal' | 'onProgress'> {
  /** @throws what ends the call */
  check(): void;
}

/** Where a submit leaves what is read at the end. */
interface Outputs {
  /** A word a chunk: which row is not finite. */
  readonly found: Staging;
  /** Of the last row. */
  readonly last: Staging | undefined;
}

/**
 * Appends a prompt. What throws leaves tokens of chunks before in the session, which the caller cuts off.
 *
 * @returns what was asked of the last row
 * @throws LlmError `non-finite-logits`, `aborted`, what `check` throws; HipError `device-lost`, `out-of-memory`
 */
export async function readPrompt(
  model: WebgpuModel,
  prompt: Prompt,
  want: Want | RowsWant,
  control: Control,
): Promise<StepResult> {
  const { signal, onProgress } = control;
  const { context, chunk } = model;
  const { ids, first } = prompt;
  const chunks = Math.ceil(ids.length / chunk.rows);
  const ofLast = want.kind === 'all' || want.kind === 'losses' ? ({ kind: 'none' } as const) : want;
  const ahead: Promise<unknown>[] = [];
  const found = model.readback.take(4 * chunks);
  const last = ofLast.kind === 'none' ? undefined : model.readback.take(outputBytes(model, ofLast));
  try {
    for (let index = 0; index < chunks; index++) {
      while (ahead.length >= MOST_AHEAD) await context.orLost(ahead.shift()!);
      control.check();
      throwIfAborted(signal, 'the step');
      const at = index * chunk.rows;
      const rows = Math.min(chunk.rows, ids.length - at);
      const isEnd = index === chunks - 1;
      const part = Array.prototype.slice.call(ids, at, at + rows) as number[];
      writeRun(context, model.config, chunk, { ids: part, first: first + at, total: prompt.total });
      const asked = isEnd ? ofLast : ({ kind: 'none' } as const);
      if (model.options.offload) await submitOffloaded(model, prompt, { rows, index }, asked, { found, last });
      else submitChunk(model, prompt, { rows, index }, asked, { found, last });
      const done = context.device.queue.onSubmittedWorkDone();
      done.catch(() => undefined);
      ahead.push(done);
      if (want.kind === 'all' || want.kind === 'losses') await readRows(model, prompt, { at, rows }, want);
      // The last chunk is not over before it has been looked at.
      onProgress?.(at + (isEnd ? rows / 2 : rows), ids.length);
    }
  } catch (error) {
    for (const staging of [found, last]) staging?.drop();
    throw error;
  }
  const [words, bytes] = await Promise.all([found.read(4 * chunks), last?.read(outputBytes(model, ofLast))]);
  for (const [index, word] of new Uint32Array(words).entries()) {
    const at = index * chunk.rows;
    const row = nonFiniteRow(word, Math.min(chunk.rows, ids.length - at));
    if (row >= 0) throw nonFinite(first + at + row);
  }
  control.check();
  throwIfAborted(signal, 'the step');
  trim(model);
  const result = bytes && resultOf(model, ofLast, bytes, first + ids.length - 1);
  onProgress?.(ids.length, ids.length);
  return result;
}

/** Scratch of many chunks, each a little longer than the one before, is not kept for the next prompt. */
function trim({ context }: WebgpuModel): void {
  if (context.pool.bytes > MOST_SCRATCH) context.pool.clear();
}

/** A chunk through all layers, and what is asked of its last row: one submit, where the GPU is busy with the chunk before. */
function submitChunk(
  model: WebgpuModel,
  { session }: Prompt,
  { rows, index }: { readonly rows: number; readonly index: number },
  want: Want,
  { found, last }: Outputs,
): void {
  const { context, chunk, decoder, shapes, timer } = model;
  const turn = session.begin(rows);
  let call = new GpuCall(context);
  try {
    // Whole chunks come again and again: their products are bound once.
    const body = rows === chunk.rows ? model.bodies.of(chunk, rows) : undefined;
    const around = (layer: number, part: 'before' | 'after'): void => {
      if (body) call.include(body[part][layer]!);
      else call.section(() => decoder[part](call, chunk, layer, rows));
    };
    if (body) call.include(body.embed);
    else decoder.embed(call, chunk, rows);
    const part = Math.ceil(shapes.length / FIRST_PARTS);
    for (const layer of shapes.keys()) {
      around(layer, 'before');
      turn.encode(call, layer, decoder.attention(chunk, layer, rows));
      around(layer, 'after');
      if (index > 0 || (layer + 1) % part !== 0) continue;
      turn.submit(call, timer);
      call = new GpuCall(context);
    }
    encodeOutputs(model, call, { rows, index }, want, { found, last });
    turn.submit(call, timer);
    turn.commit();
  } catch (error) {
    turn.rollback();
    throw error;
  } finally {
    call[Symbol.dispose]();
  }
}

/** Adds the search for what is not finite, and what is asked of the last row. */
function encodeOutputs(
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

/** A chunk whose layers' pages may lie on the host: each layer's attention is submitted by itself. */
async function submitOffloaded(
  model: WebgpuModel,
  { session }: Prompt,
  { rows, index }: { readonly rows: number; readonly index: number },
  want: Want,
  outputs: Outputs,
): Promise<void> {
  const { context, chunk, decoder, shapes, timer } = model;
  const turn = session.begin(rows);
  const submit = (add: (call: GpuCall) => void): void => {
    using call = new GpuCall(context);
    add(call);
    turn.submit(call, timer);
  };
  try {
    submit((call) => decoder.embed(call, chunk, rows));
    for (const layer of shapes.keys()) {
      submit((call) => decoder.before(call, chunk, layer, rows));
      await turn.run(layer, decoder.attention(chunk, layer, rows), timer);
      submit((call) => decoder.after(call, chunk, layer, rows));
    }
    submit((call) => encodeOutputs(model, call, { rows, index }, want, outputs));
    turn.commit();
  } catch (error) {
    turn.rollback();
    throw error;
  }
  await session.settle();
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

function outputBytes({ config }: WebgpuModel, want: Want): number {
  if (want.kind === 'logits') return 4 * config.vocabSize;
  return topBytes({ rows: 1, vocabulary: config.vocabSize, count: CANDIDATES });
}

function resultOf({ config }: WebgpuModel, want: Want, bytes: ArrayBuffer, position: number): StepResult {
  if (want.kind !== 'candidates') {
    const logits = new Float32Array(bytes);
    checkLogits(logits, logits.length, position);
    return logits;
  }
  const [found] = readTop(bytes, { rows: 1, vocabulary: config.vocabSize, count: CANDIDATES });
  if (!found || found.nonFinite > 0) throw nonFinite(position);
  return candidatesFrom(found, config.vocabSize, want.temperature);
}
