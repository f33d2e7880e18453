// Logits or losses of all rows of a chunk, some rows at a time: the residual stream is still there.
import { GpuCall } from '@hip/kernels-webgpu';
import { encodeLosses } from '@hip/kernels-webgpu/model';
import { checkLogits, nonFinite } from '../checks.ts';
import { LOGIT_ROWS } from './activations.ts';
import type { WebgpuModel } from './model.ts';
import type { Prompt } from './prompt.ts';
import { copyOut } from './readback.ts';

/** What is asked of all rows, in place of the last one. */
export type RowsWant =
  | { readonly kind: 'all'; readonly out: Float32Array }
  /** Nats of each row's next token [out.length]. */
  | { readonly kind: 'losses'; readonly out: Float32Array };

/** Fills the rows of `want.out` that a chunk has. @throws LlmError `non-finite-logits`; HipError `device-lost` */
export async function readRows(
  model: WebgpuModel,
  prompt: Prompt,
  { at, rows }: { readonly at: number; readonly rows: number },
  want: RowsWant,
): Promise<void> {
  const { skip } = prompt;
  const last = want.kind === 'losses' ? want.out.length + skip - at : rows;
  const read = want.kind === 'losses' ? readLosses : readLogits;
  for (let row = Math.max(0, skip - at); row < Math.min(rows, last); row += LOGIT_ROWS) {
    const count = Math.min(LOGIT_ROWS, rows - row, last - row);
    await read(model, prompt, { row, count, token: at + row }, want.out);
  }
}

interface Some {
  /** First row of the chunk. */
  readonly row: number;
  readonly count: number;
  /** Which of the prompt's ids it is. */
  readonly token: number;
}

async function readLogits(
  model: WebgpuModel,
  { first, skip }: Prompt,
  { row, count, token }: Some,
  out: Float32Array,
): Promise<void> {
  const { vocabSize } = model.config;
  const size = 4 * count * vocabSize;
  const bytes = await output(model, row, count, size, (call, staging) => {
    copyOut(call, model.chunk.tensors.logits, staging, 0, size);
  });
  const logits = new Float32Array(bytes);
  checkLogits(logits, vocabSize, first + token);
  out.set(logits, (token - skip) * vocabSize);
}

async function readLosses(
  model: WebgpuModel,
  { ids, first, skip }: Prompt,
  { row, count, token }: Some,
  out: Float32Array,
): Promise<void> {
  const { context, config, chunk } = model;
  const targets = Uint32Array.from({ length: count }, (_, i) => ids[token + i + 1] as number);
  const size = 4 * count;
  const bytes = await output(model, row, count, size, (call, staging) => {
    const wanted = call.scratch(size, 'targets');
    const losses = call.scratch(size, 'losses');
    context.device.queue.writeBuffer(wanted, 0, targets);
    const tensors = {
      logits: chunk.tensors.logits,
      targets: { buffer: wanted },
      out: { buffer: losses, type: 'f32' as const, length: count },
    };
    encodeLosses(call, tensors, { rows: count, vocabulary: config.vocabSize });
    copyOut(call, { buffer: losses }, staging, 0, size);
  });
  const losses = new Float32Array(bytes);
  const bad = losses.findIndex((loss) => !Number.isFinite(loss));
  if (bad >= 0) throw nonFinite(first + token + bad);
  out.set(losses, token - skip);
}

/** The head of some rows, and what `add` copies of it. */
async function output(
  model: WebgpuModel,
  row: number,
  count: number,
  size: number,
  add: (call: GpuCall, staging: ReturnType<WebgpuModel['readback']['take']>) => void,
): Promise<ArrayBuffer> {
  const { context, decoder, chunk, timer } = model;
  const staging = model.readback.take(size);
  try {
    using call = new GpuCall(context);
    decoder.take(call, chunk, row, count);
    decoder.head(call, chunk.tensors.last, chunk.tensors.logits, count);
    add(call, staging);
    call.submit(timer);
  } catch (error) {
    staging.drop();
    throw error;
  }
  return staging.read(size);
}
