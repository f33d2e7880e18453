// Conversations over a few tiny layers: turns on random tensors, and the bits of what comes out.
import { resolveConfig } from '@hip/mask-search';
import type { ModelLayer } from '../../src/decode/model-plan.ts';
import type { ModelSession } from '../../src/decode/model-session.ts';
import type { StepTensors } from '../../src/decode/tensors.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import type { GpuContext } from '../../src/dispatch/context.ts';
import { emptyTensor, readBytes, uploadTensor } from '../../src/dispatch/tensor.ts';
import { randomValues } from './cases.ts';

const [heads, kvHeads, headDim] = [2, 1, 16];

const staged = resolveConfig({
  k: 16,
  blockK: 8,
  blockQ: 16,
  window: 20,
  sink: 3,
  remainder: { block: 8, most: 4, tail: 'drop' },
  stages: [
    { chunk: 16, keep: 32, strideQ: 4, rows: 'mean', score: 'bound', refresh: 3 },
    { chunk: 8, keep: 16, strideQ: 4, rows: 'max', score: 'exact', refresh: 2 },
  ],
});

/** One that searches beyond 40 keys, one with a sliding window, one that attends to everything. */
export const LAYERS: readonly ModelLayer[] = [
  { heads, kvHeads, headDim, config: staged, denseBelow: { rows: 32, question: 32, step: 40 } },
  { heads, kvHeads, headDim, window: 24 },
  { heads, kvHeads, headDim, config: 'dense', softcap: 20 },
];

/** Tensors of `tokens` rows, the same numbers for the same seed. */
export function tensorsOf(context: GpuContext, tokens: number, seed: number): StepTensors {
  const of = (count: number, s: number) => uploadTensor(context, randomValues(tokens * count * headDim, s), 'f16');
  return {
    q: of(heads, 3 * seed + 1),
    k: of(kvHeads, 3 * seed + 2),
    v: of(kvHeads, 3 * seed + 3),
    out: emptyTensor({ context, type: 'f16', length: tokens * heads * headDim }),
  };
}

/** Makes a turn of `tokens` tokens. @returns the bits of every layer's output */
export async function turn(context: GpuContext, session: ModelSession, tokens: number, seed: number): Promise<string> {
  using begun = session.begin(tokens);
  const tensors = LAYERS.map((_, layer) => tensorsOf(context, tokens, 31 * seed + layer));
  if (begun.offloaded) for (const [layer, each] of tensors.entries()) await begun.run(layer, each);
  else {
    using call = new GpuCall(context);
    tensors.forEach((each, layer) => begun.encode(call, layer, each));
    begun.submit(call);
  }
  begun.commit();
  if (begun.offloaded) await session.settle();
  return bitsOf(context, tensors);
}

/** The bits of every layer's output. @param last frees the tensors */
export async function bitsOf(context: GpuContext, tensors: readonly StepTensors[], last = true): Promise<string> {
  const bits = await Promise.all(
    tensors.map(async ({ out }) => new Uint16Array(await readBytes(context, out.buffer, 0, 2 * out.length)).join()),
  );
  for (const each of last ? tensors : []) for (const { buffer } of Object.values(each)) (buffer as GPUBuffer).destroy();
  return bits.join(';');
}
