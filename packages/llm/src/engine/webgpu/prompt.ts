// Many tokens of one sequence through the layers, a chunk at a time; logits of the rows that are asked for, and whether all was finite.
import { GpuCall, type ModelSession } from '@hip/kernels-webgpu';
import { nonFiniteRow } from '@hip/kernels-webgpu/model';
import { throwIfAborted } from '../../errors.ts';
import { nonFinite } from '../checks.ts';
import type { ForwardOptions } from '../types.ts';
import type { StepResult } from './batch.ts';
import type { WebgpuModel } from './model.ts';
import { submitLayerwise } from './offloaded-prompt.ts';
import { writeRun } from './positions.ts';
import type { KeptMasks } from './kept-masks.ts';
import { encodeOutputs, outputBytes, resultOf, type Outputs } from './prompt-outputs.ts';
import { readRows, type RowsWant } from './row-outputs.ts';
import type { Want } from './scheduler.ts';

/** Chunks that the GPU may have before it: one that it computes, and one more. */
const MOST_AHEAD = 2;

/** Submits of a prompt's first chunk: the GPU begins while the host still encodes. */
const FIRST_PARTS = 4;

/** Bytes of scratch that stay between prompts. */
const MOST_SCRATCH = 64 * 2 ** 20;

/** Tokens to append. */
export interface Prompt {
  readonly ids: ArrayLike<number>;
  readonly session: ModelSession;
  /** Position of the first. */
  readonly first: number;
  readonly total: number;
  /** Leading ids whose logits nobody asks for. */
  readonly skip: number;
  /** Receives what rows of the last chunk read. */
  readonly masks?: KeptMasks | undefined;
}

/** Ends a call between two chunks. */
export interface Control extends Pick<ForwardOptions, 'signal' | 'onProgress'> {
  /** @throws what ends the call */
  check(): void;
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
  const { chunk } = model;
  const { ids, first } = prompt;
  const chunks = Math.ceil(ids.length / chunk.rows);
  const ofLast = want.kind === 'all' || want.kind === 'losses' ? ({ kind: 'none' } as const) : want;
  const found = model.readback.take(4 * chunks);
  const last = ofLast.kind === 'none' ? undefined : model.readback.take(outputBytes(model, ofLast));
  try {
    if (model.options.offload) await submitLayerwise(model, prompt, { want, ofLast }, control, { found, last });
    else await submitChunks(model, prompt, { want, ofLast }, control, { found, last });
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

/** Each chunk through all layers. */
async function submitChunks(
  model: WebgpuModel,
  prompt: Prompt,
  { want, ofLast }: { readonly want: Want | RowsWant; readonly ofLast: Want },
  control: Control,
  outputs: Outputs,
): Promise<void> {
  const { context, chunk } = model;
  const { ids, first, total } = prompt;
  const { signal, onProgress } = control;
  const chunks = Math.ceil(ids.length / chunk.rows);
  const ahead: Promise<unknown>[] = [];
  for (let index = 0; index < chunks; index++) {
    while (ahead.length >= MOST_AHEAD) await context.orLost(ahead.shift()!);
    control.check();
    throwIfAborted(signal, 'the step');
    const at = index * chunk.rows;
    const rows = Math.min(chunk.rows, ids.length - at);
    const isEnd = index === chunks - 1;
    const part = Array.prototype.slice.call(ids, at, at + rows) as number[];
    writeRun(context, model.config, chunk, { ids: part, first: first + at, total });
    submitChunk(model, prompt, { rows, index, isEnd }, isEnd ? ofLast : { kind: 'none' }, outputs);
    const done = context.device.queue.onSubmittedWorkDone();
    done.catch(() => undefined);
    ahead.push(done);
    if (want.kind === 'all' || want.kind === 'losses') await readRows(model, prompt, { at, rows }, want);
    // The last chunk is not over before it has been looked at.
    onProgress?.(at + (isEnd ? rows / 2 : rows), ids.length);
  }
}

/** A chunk through all layers, and what is asked of its last row: one submit, where the GPU is busy with the chunk before. */
function submitChunk(
  model: WebgpuModel,
  { session, masks }: Prompt,
  { rows, index, isEnd }: { readonly rows: number; readonly index: number; readonly isEnd: boolean },
  want: Want,
  { found, last }: Outputs,
): void {
  const { context, chunk, decoder, shapes, timer } = model;
  const turn = session.begin(rows);
  let call = new GpuCall(context);
  try {
    // Whole chunks come again and again: their products are bound once.
    const body = model.bodies.often(chunk, rows);
    const around = (layer: number, part: 'before' | 'after'): void => {
      if (body) call.include(body[part][layer]!);
      else call.section(() => decoder[part](call, chunk, layer, rows));
    };
    if (body) call.include(body.embed);
    else decoder.embed(call, chunk, rows);
    const part = Math.ceil(shapes.length / FIRST_PARTS);
    for (const layer of shapes.keys()) {
      around(layer, 'before');
      const keeps = isEnd && masks?.wants(layer);
      const mask = turn.encode(call, layer, decoder.attention(chunk, layer, rows), keeps);
      if (keeps) masks!.keep(layer, mask);
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
