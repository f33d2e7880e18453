// Our kernels on WebGPU: tensors stay on the device, a run ends when its queue is empty.
import {
  emptyTensor,
  flashAttention,
  GpuCall,
  GpuDecodeSession,
  hipAttention,
  KvCache,
  KvPool,
  readTensor,
  uploadTensor,
  type GpuContext,
} from '@hip/kernels-webgpu';
import type { Inputs } from './inputs.ts';
import { CYCLE, type Opened } from './opened.ts';

/** Tokens that runs may append: more than the most runs do. */
const ROOM = 1024;

export function openWebgpu(context: GpuContext, inputs: Inputs): Opened[] {
  return inputs.part === 'prefill' ? prefill(context, inputs) : decode(context, inputs);
}

/** Waits for the device, and throws what it refused. */
async function done(context: GpuContext): Promise<void> {
  await context.device.queue.onSubmittedWorkDone();
  await context.settled();
}

function prefill(context: GpuContext, { tokens, heads, kvHeads, headDim, q, k, v }: Inputs): Opened[] {
  const shape = { batch: 1, queries: tokens, keys: tokens, heads, kvHeads, headDim };
  const upload = (x: Float32Array) => uploadTensor(context, x, 'f32');
  const out = emptyTensor({ context, type: 'f32', length: q.length });
  const tensors = { q: upload(q), k: upload(k), v: upload(v), out };
  const free = (): void => {
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  };
  return [
    {
      name: 'hip',
      perRun: 1,
      run: async () => {
        hipAttention(context, tensors, shape);
        await done(context);
      },
      close: () => undefined,
    },
    {
      name: 'dense',
      perRun: 1,
      run: async () => {
        flashAttention(context, tensors, shape);
        await done(context);
      },
      output: async () => readTensor(context, flashAttention(context, tensors, shape)),
      close: free,
    },
  ];
}

function decode(context: GpuContext, { tokens, heads, kvHeads, headDim, q, k, v }: Inputs): Opened[] {
  const size = kvHeads * headDim;
  const before = (tokens - 1) * size;
  const upload = (x: Float32Array) => uploadTensor(context, x, 'f32');
  const open = (name: 'hip' | 'dense'): Opened => {
    const pool = new KvPool(context, { kvHeads, headDim, type: 'f32', tokens: tokens + ROOM });
    const cache = new KvCache(pool);
    const [keys, values] = [upload(k.subarray(0, before)), upload(v.subarray(0, before))];
    const fill = new GpuCall(context);
    cache.append(fill, keys, values, tokens - 1);
    fill.submit();
    for (const { buffer } of [keys, values]) buffer.destroy();
    const out = emptyTensor({ context, type: 'f32', length: q.length });
    const one = { q: upload(q), k: upload(k.subarray(before)), v: upload(v.subarray(before)), out };
    const session = new GpuDecodeSession(cache, name === 'dense' ? { heads, config: 'dense' } : { heads });
    return {
      name,
      perRun: CYCLE,
      run: async () => {
        for (let i = 0; i < CYCLE; i++) session.step(one);
        await done(context);
      },
      ...(name === 'dense' && {
        output: async () => {
          session.step(one);
          return readTensor(context, out);
        },
      }),
      close: () => {
        session.destroy();
        cache.dispose();
        pool.destroy();
        for (const { buffer } of Object.values(one)) buffer.destroy();
      },
    };
  };
  return [open('hip'), open('dense')];
}
