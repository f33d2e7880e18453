// onnxruntime-web, as its files lie on the site: its fastest attention for the part and device.
import type * as Ort from 'onnxruntime-web';
import { groupQueryModel } from '@hip/onnx/model';
import { PlaygroundError } from '../rpc/protocol.ts';
import { multiHeadModel } from './attention-model.ts';
import { headsFirst, type Inputs } from './inputs.ts';
import { CYCLE, type Opened } from './opened.ts';
import type { Device } from './protocol.ts';

const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC

/** @throws PlaygroundError `peer-missing` where its script cannot be fetched */
async function load(device: Device, folder: string, threads: number): Promise<typeof Ort> {
  const address = `${folder}ort.${device}.min.mjs`;
  const ort = (await import(/* @vite-ignore */ address).catch((error: unknown) => {
    const message = `onnxruntime-web cannot be loaded from ${address}: ${String(error)}`;
    throw new PlaygroundError('peer-missing', message);
  })) as typeof Ort;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = folder;
  ort.env.logLevel = 'error';
  return ort;
}

export interface OnnxruntimeOptions {
  readonly folder: string;
  readonly threads: number;
}

export async function openOnnxruntime(
  device: Device,
  { part, tokens, queries, heads, kvHeads, headDim, q, k, v }: Inputs,
  { folder, threads }: OnnxruntimeOptions,
): Promise<Opened> {
  const ort = await load(device, folder, threads);
  const hasPast = part === 'decode';
  const sizes = { heads, kvHeads, headDim };
  // On WebAssembly GroupQueryAttention of 1.30 takes seven times the CPU time of MultiHeadAttention for a prompt of 1,024 tokens.
  const isMultiHead = device === 'wasm' && !hasPast && heads === kvHeads;
  const model = await (isMultiHead ? multiHeadModel(sizes) : groupQueryModel({ ...sizes, hasPast }));
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [device],
    graphOptimizationLevel: 'all',
    ...(device === 'webgpu' && { preferredOutputLocation: 'gpu-buffer' as const }),
  });
  const gpu = device === 'webgpu' ? await ort.env.webgpu.device : undefined;
  const tensor = (data: Float32Array, dims: readonly number[]): Ort.Tensor => {
    if (!gpu) return new ort.Tensor('float32', data, dims);
    const buffer = gpu.createBuffer({ size: data.byteLength, usage: STORAGE, mappedAtCreation: true });
    new Float32Array(buffer.getMappedRange()).set(data);
    buffer.unmap();
    return ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims, dispose: () => buffer.destroy() });
  };
  const size = kvHeads * headDim;
  const before = (tokens - queries) * size;
  const past = (x: Float32Array): Ort.Tensor =>
    tensor(headsFirst(x.subarray(0, before), tokens - 1, kvHeads, headDim), [1, kvHeads, tokens - 1, headDim]);
  const feeds: Record<string, Ort.Tensor> = {
    query: tensor(q, [1, queries, heads * headDim]),
    key: tensor(k.subarray(before), [1, queries, size]),
    value: tensor(v.subarray(before), [1, queries, size]),
    ...(hasPast && { past_key: past(k), past_value: past(v) }),
    ...(!isMultiHead && {
      seqlens_k: new ort.Tensor('int32', Int32Array.of(tokens - 1), [1]),
      total_sequence_length: new ort.Tensor('int32', Int32Array.of(tokens), []),
    }),
  };
  const perRun = hasPast ? CYCLE : 1;
  const free = (tensors: Readonly<Record<string, Ort.Tensor>>): void => {
    for (const each of Object.values(tensors)) each.dispose();
  };
  return {
    name: 'onnxruntime',
    perRun,
    run: async () => {
      for (let i = 0; i < perRun; i++) free(await session.run(feeds, ['output']));
      await gpu?.queue.onSubmittedWorkDone();
    },
    output: async () => {
      const results = await session.run(feeds, ['output']);
      const data = (await results['output']!.getData()) as Float32Array;
      const copy = data.slice();
      free(results);
      return copy;
    },
    close: async () => {
      free(feeds);
      await session.release();
    },
  };
}
