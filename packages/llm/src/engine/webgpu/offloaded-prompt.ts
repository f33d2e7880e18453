// A prompt whose layers' pages may lie on the host, layer by layer: each layer's pages travel once a prompt, and the residual stream waits on the GPU.
import type { ModelConfig } from '@hip/checkpoints';
import { emptyTensor, GpuCall, type GpuMask, type GpuTensor } from '@hip/kernels-webgpu';
import { throwIfAborted } from '../../errors.ts';
import type { LayerShape } from '../layers.ts';
import { ropesOf, type Activations } from './activations.ts';
import type { WebgpuModel } from './model.ts';
import { writeRun } from './positions.ts';
import { encodeOutputs, type Outputs } from './prompt-outputs.ts';
import type { Control, Prompt } from './prompt.ts';
import { readRows, type RowsWant } from './row-outputs.ts';
import type { Want } from './scheduler.ts';

/** Chunks that the GPU may have before it. */
const MOST_AHEAD = 2;

/** Bytes of residual streams and rotations that wait at most: a longer prompt goes through the layers in several stretches. */
const MOST_WAITING = 1.5 * 2 ** 30;

/** Bytes that wait for each token. */
function tokenBytes({ hiddenSize }: ModelConfig, shapes: readonly LayerShape[]): number {
  return 4 * hiddenSize + ropesOf(shapes).reduce((sum, rope) => sum + 8 * rope.inverseFrequencies.length, 0);
}

/** Chunks that go through the layers together. */
function stretchChunks(config: ModelConfig, shapes: readonly LayerShape[], rows: number): number {
  return Math.max(1, Math.floor(MOST_WAITING / (rows * tokenBytes(config, shapes))));
}

/** Bytes of what waits on the GPU during a prompt of so many tokens. */
export function waitingBytes(
  config: ModelConfig,
  shapes: readonly LayerShape[],
  { rows, tokens }: { readonly rows: number; readonly tokens: number },
): number {
  const chunks = Math.min(Math.ceil(tokens / rows), stretchChunks(config, shapes, rows));
  return chunks > 1 ? chunks * rows * tokenBytes(config, shapes) : 0;
}

/** What chunks leave between two layers. */
class Waiting implements Disposable {
  readonly #chunk: Activations;
  /** By chunk: the residual stream, then tables of rotations. */
  readonly #buffers: readonly (readonly GpuTensor[])[];

  constructor(context: WebgpuModel['context'], chunk: Activations, chunks: number) {
    this.#chunk = chunk;
    this.#buffers = Array.from({ length: chunks }, () =>
      this.#tensors().map(({ type, length }) => emptyTensor({ context, type, length, label: 'a chunk that waits' })),
    );
  }

  /** Adds copies of what later layers read. */
  keep(call: GpuCall, index: number, what: 'stream' | 'all'): void {
    this.#copy(index, what, (own, kept) => call.copy(own.buffer, 0, kept.buffer, 0, 4 * own.length));
  }

  bring(call: GpuCall, index: number): void {
    this.#copy(index, 'all', (own, kept) => call.copy(kept.buffer, 0, own.buffer, 0, 4 * own.length));
  }

  #copy(index: number, what: 'stream' | 'all', copy: (own: GpuTensor, kept: GpuTensor) => void): void {
    const own = this.#tensors();
    for (const [i, kept] of (this.#buffers[index] ?? []).entries()) if (i === 0 || what === 'all') copy(own[i]!, kept);
  }

  #tensors(): GpuTensor[] {
    const { tensors, tables } = this.#chunk;
    return [tensors.hidden, ...[...tables.values()].flatMap(({ cos, sin }) => [cos, sin])];
  }

  [Symbol.dispose](): void {
    for (const { buffer } of this.#buffers.flat()) buffer.destroy();
  }
}

/**
 * Appends a prompt. What throws leaves stretches before in the session, which the caller cuts off.
 *
 * @throws LlmError `aborted`, what `control.check` throws; HipError `device-lost`, `out-of-memory`
 */
export async function submitLayerwise(
  model: WebgpuModel,
  prompt: Prompt,
  { want, ofLast }: { readonly want: Want | RowsWant; readonly ofLast: Want },
  control: Control,
  outputs: Outputs,
): Promise<void> {
  const { context, chunk, config, shapes } = model;
  const { length } = prompt.ids;
  const chunks = Math.min(Math.ceil(length / chunk.rows), stretchChunks(config, shapes, chunk.rows));
  using waiting = chunks > 1 ? new Waiting(context, chunk, chunks) : undefined;
  await context.settled();
  for (let at = 0; at < length;) {
    let tokens = Math.min(chunks * chunk.rows, length - at);
    // A last chunk of one token is a step.
    if (tokens > 1 && tokens % chunk.rows === 1) tokens--;
    await submitStretch(model, prompt, { at, tokens }, { want, ofLast, control, outputs, waiting });
    at += tokens;
    await prompt.session.settle();
  }
}

interface StretchOptions {
  readonly want: Want | RowsWant;
  readonly ofLast: Want;
  readonly control: Control;
  readonly outputs: Outputs;
  readonly waiting: Waiting | undefined;
}

/** Some chunks through all layers. */
async function submitStretch(
  model: WebgpuModel,
  prompt: Prompt,
  { at, tokens }: { readonly at: number; readonly tokens: number },
  { want, ofLast, control, outputs, waiting }: StretchOptions,
): Promise<void> {
  const { context, chunk, shapes, timer } = model;
  const { ids, first, session, total, masks } = prompt;
  const { signal, onProgress } = control;
  const chunks = Math.ceil(tokens / chunk.rows);
  const ahead: Promise<unknown>[] = [];
  const turn = session.begin(tokens);
  let saved = Promise.resolve();
  try {
    for (const layer of shapes.keys()) {
      const room = tokens > 1 ? await turn.open(layer) : undefined;
      const isLast = layer === shapes.length - 1;
      for (let index = 0; index < chunks; index++) {
        while (ahead.length >= MOST_AHEAD) await context.orLost(ahead.shift()!);
        control.check();
        throwIfAborted(signal, 'the step');
        const start = at + index * chunk.rows;
        const rows = Math.min(chunk.rows, at + tokens - start);
        const isEnd = start + rows === ids.length;
        const part = (add: (call: GpuCall) => void): void => {
          using call = new GpuCall(context);
          add(call);
          turn.submit(call, timer);
        };
        if (layer === 0) {
          const own = Array.prototype.slice.call(ids, start, start + rows) as number[];
          writeRun(context, model.config, chunk, { ids: own, first: first + start, total });
        }
        const enter = (call: GpuCall): void => encodeBefore(model, call, waiting, { layer, rows, index });
        const leave = (call: GpuCall): void => {
          encodeAround(model, call, 'after', layer, rows);
          if (!isLast) waiting?.keep(call, index, 'stream');
          else {
            const asked = isEnd ? ofLast : ({ kind: 'none' } as const);
            encodeOutputs(model, call, { rows, index: Math.floor(start / chunk.rows) }, asked, outputs);
          }
        };
        const tensors = model.decoder.attention(chunk, layer, rows);
        const keeps = isEnd && masks?.wants(layer);
        let mask: GpuMask | undefined;
        if (room)
          part((call) => {
            enter(call);
            mask = room.encode(call, tensors, rows, keeps);
            leave(call);
          });
        else {
          part(enter);
          mask = await turn.run(layer, tensors, timer, keeps);
          part(leave);
        }
        if (keeps) masks!.keep(layer, mask);
        const done = context.device.queue.onSubmittedWorkDone();
        done.catch(() => undefined);
        ahead.push(done);
        if (isLast && (want.kind === 'all' || want.kind === 'losses'))
          await readRows(model, prompt, { at: start, rows }, want);
        // The last chunk is not over before it has been looked at.
        const share = (layer * chunks + index + 0.5) / (shapes.length * chunks);
        onProgress?.(at + Math.floor(tokens * share), ids.length);
      }
      // Pages of one layer are on their way to the host while the next is computed.
      await saved;
      if (room) saved = settling(room.close());
    }
    await saved;
    turn.commit();
  } catch (error) {
    turn.rollback();
    throw error;
  }
}

/** A promise that somebody awaits later. */
function settling(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}

/** What enters a layer's attention: from ids, or from what the layer before has left. */
function encodeBefore(
  model: WebgpuModel,
  call: GpuCall,
  waiting: Waiting | undefined,
  { layer, rows, index }: { readonly layer: number; readonly rows: number; readonly index: number },
): void {
  const { chunk, decoder, bodies } = model;
  if (layer > 0) waiting?.bring(call, index);
  else {
    const body = bodies.often(chunk, rows);
    if (body) call.include(body.embed);
    else decoder.embed(call, chunk, rows);
    waiting?.keep(call, index, 'all');
  }
  encodeAround(model, call, 'before', layer, rows);
}

/** Whole chunks come again and again: their products are bound once. */
function encodeAround(
  { chunk, decoder, bodies }: WebgpuModel,
  call: GpuCall,
  part: 'before' | 'after',
  layer: number,
  rows: number,
): void {
  const body = bodies.often(chunk, rows);
  if (body) call.include(body[part][layer]!);
  else call.section(() => decoder[part](call, chunk, layer, rows));
}
