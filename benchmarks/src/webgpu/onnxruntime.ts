// onnxruntime-web's WebGPU GroupQueryAttention under Dawn in Node: what a web user would otherwise run.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Ort from 'onnxruntime-web';
import { median } from '../benchmark.ts';
import { groupQueryModel } from '@hip/onnx/model';
import { LLAMA } from './search.ts';

/** The folder of onnxruntime-web's files: ORT_DIST where there is no node_modules. */
function distribution(): string {
  return process.env['ORT_DIST'] ?? dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
}

/** onnxruntime-web iterates `features` with forEach, which Dawn's set in Node lacks. */
async function addForEach(): Promise<void> {
  const adapter = await navigator.gpu.requestAdapter();
  const prototype = adapter && (Object.getPrototypeOf(adapter.features) as { forEach?: unknown } & Iterable<string>);
  if (!prototype || prototype.forEach) return;
  prototype.forEach = function forEach(this: Iterable<string>, visit: (feature: string) => void) {
    for (const feature of this) visit(feature);
  };
}

/** Wall time of causal grouped attention, f16, tensors on the GPU throughout. */
export async function onnxruntimeRows({
  lengths = [8192, 16_384, 32_768],
  runs = 3,
  deadline = Infinity,
  log,
  sizes = LLAMA,
}: {
  lengths?: readonly number[];
  runs?: number;
  deadline?: number;
  log?: (line: string) => void;
  sizes?: { heads: number; kvHeads: number; headDim: number };
} = {}): Promise<Record<string, unknown>[]> {
  await addForEach();
  const folder = distribution();
  const ort = (await import(pathToFileURL(join(folder, 'ort.webgpu.bundle.min.mjs')).href)) as typeof Ort;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = `${folder}/`;
  ort.env.logLevel = 'error';
  const { heads, kvHeads, headDim } = sizes;
  const rows: Record<string, unknown>[] = [];
  for (const tokens of lengths) {
    if (performance.now() > deadline) break;
    const row: Record<string, unknown> = {
      what: 'onnxruntime-web, GroupQueryAttention',
      tokens,
      heads,
      kvHeads,
      headDim,
      type: 'f16',
    };
    try {
      const session = await ort.InferenceSession.create(
        await groupQueryModel({ heads, kvHeads, headDim, type: 'float16' }),
        {
          executionProviders: ['webgpu'],
          preferredOutputLocation: 'gpu-buffer',
        },
      );
      const device = await ort.env.webgpu.device;
      const tensor = (count: number): Ort.Tensor => {
        const length = tokens * count * headDim;
        const buffer = device.createBuffer({ size: 2 * length, usage: 0x80 | 0x08 | 0x04, mappedAtCreation: true });
        // Cheap numbers in (−1, 1): the time of dense attention does not depend on them.
        const values = new Float16Array(buffer.getMappedRange());
        for (let i = 0; i < Math.min(length, 65_536); i++) values[i] = Math.sin(i);
        for (let at = 65_536; at < length; at *= 2) values.copyWithin(at, 0, Math.min(at, length - at));
        buffer.unmap();
        return ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float16', dims: [1, tokens, count * headDim] });
      };
      const feeds = {
        query: tensor(heads),
        key: tensor(kvHeads),
        value: tensor(kvHeads),
        seqlens_k: new ort.Tensor('int32', Int32Array.of(tokens - 1), [1]),
        total_sequence_length: new ort.Tensor('int32', Int32Array.of(tokens), []),
      };
      const times: number[] = [];
      for (let run = -1; run < runs; run++) {
        const start = performance.now();
        const results = await session.run(feeds);
        await device.queue.onSubmittedWorkDone();
        if (run >= 0) times.push(performance.now() - start);
        for (const result of Object.values(results)) result.dispose();
      }
      row['wallMs'] = median(times);
      for (const input of [feeds.query, feeds.key, feeds.value]) input.dispose();
      await session.release();
    } catch (error) {
      row['failure'] = String(error).slice(0, 300);
    }
    rows.push(row);
    log?.(JSON.stringify(row));
  }
  return rows;
}
