// What computes, on WebGPU, real or software: backend, losses, prefill with both kinds of attention, masks read back.
import { join } from 'node:path';
import { describeGpu } from '@hip/testing';
import { hipModelAttention, hipModelCache, KvCache, type BlockMask } from '@hip/attention';
import { textWindows } from '@instatune/supernet';
import { expect, it } from 'vitest';
import { selectBackend } from '../src/pipeline/backend.ts';
import { lossOf } from '../src/pipeline/fine-tune.ts';
import { loadModel } from '../src/pipeline/model.ts';
import { measurePrefill } from '../src/pipeline/prefill.ts';
import { newFolder, tinyCheckpoint } from './helpers.ts';

const TOKENS = 320;
const CONFIG = { k: 64, window: 64, denseLayers: 1 } as const;
const ids = Int32Array.from({ length: TOKENS + 1 }, (_, i) => 5 + ((i * i) % 97));

/** The same steps on one backend. */
async function compute(name: 'webgpu' | 'wasm', folder: string) {
  const backend = await selectBackend(name);
  const { model } = await loadModel(folder);
  try {
    const windows = textWindows(ids.subarray(0, 130), { length: 32 });
    const loss = await lossOf(model, windows);
    const masks = new Map<number, BlockMask>();
    const onMask = (mask: BlockMask, layer: number) => masks.set(layer, mask);
    const prefill = async (kind: 'dense' | 'hip', own = true, chunk = TOKENS) => {
      const options = { config: CONFIG, dense: kind === 'dense' ? 'always' : 'never', onMask } as const;
      const inPlace = own ? hipModelCache(options) : undefined;
      using cache = inPlace ?? new KvCache();
      return measurePrefill({
        model,
        ids,
        tokens: TOKENS,
        attend: inPlace?.attention ?? hipModelAttention(options),
        chunk,
        ...(kind === 'hip' && { config: CONFIG }),
        masks,
        prepared: backend.attention,
        cache,
        signal: new AbortController().signal,
        onProgress: () => {},
      });
    };
    return {
      backend,
      loss,
      dense: await prefill('dense'),
      hip: await prefill('hip'),
      chunks: await prefill('hip', true, 128),
      chunksOfTensors: await prefill('hip', false, 128),
    };
  } finally {
    model.dispose();
    backend.close();
  }
}

describeGpu('the demo’s steps', () => {
  it('give the numbers of the CPU', async () => {
    const folder = await tinyCheckpoint(join(newFolder(), 'tiny'));
    const gpu = await compute('webgpu', folder);
    const cpu = await compute('wasm', folder);
    expect(gpu.backend).toMatchObject({ name: 'webgpu', adapter: expect.stringMatching(/./) as string });
    expect(gpu.loss).toBeCloseTo(cpu.loss, 3);
    expect(gpu.dense.perplexity / cpu.dense.perplexity).toBeCloseTo(1, 2);
    expect(gpu.hip.perplexity / cpu.hip.perplexity).toBeCloseTo(1, 2);
    expect(gpu.hip.recall).toBeCloseTo(cpu.hip.recall!, 2);
    expect(gpu.hip.recall).toBeLessThan(1);
    // Chunk by chunk, over whichever cache, the masks are those of one call, and so is what is measured of them.
    for (const { chunks, chunksOfTensors } of [cpu, gpu]) {
      expect(chunks.recall).toBeCloseTo(chunksOfTensors.recall!, 6);
      expect(chunks.perplexity / chunksOfTensors.perplexity).toBeCloseTo(1, 5);
      expect(chunks.perplexity / cpu.hip.perplexity).toBeCloseTo(1, 2);
    }
    expect(cpu.chunks.bytes).toBeLessThan(1.2 * cpu.chunksOfTensors.bytes);
    expect(gpu.dense).not.toHaveProperty('attentionMs');
    expect(cpu.dense.attentionMs).toBeGreaterThan(0);
  });
});
