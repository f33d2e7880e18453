// Layers with a sliding window hold the newest tokens alone: the logits of WebAssembly, cuts to before the window, saved and forked.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import { loadEngine } from '../../../src/engine/load.ts';
import type { Engine, EngineOptions, Sequence } from '../../../src/engine/types.ts';
import { collect } from '../../../src/saved/collect.ts';
import { readSaved, writeSaved } from '../../../src/saved/document.ts';
import { relativeError } from '../../helpers/compare.ts';
import { tinyModel } from '../../helpers/tiny.ts';

/** Milliseconds: shaders are compiled for a processor, of which others may want most. */
const SLOW = 600_000;
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => (i * i * 7 + i * seed + seed) % 40);
const { files } = tinyModel({
  architectures: ['MistralForCausalLM'],
  model_type: 'mistral',
  sliding_window: 16,
  num_hidden_layers: 2,
});
const OPTIONS: EngineOptions = {
  weights: 'f32',
  cache: 'f32',
  contextTokens: 3000,
  cacheTokens: 3000,
  attention: 'dense',
};

describeGpu('an engine whose windows slide', (gpu) => {
  let device: GPUDevice;
  let engine: Engine;
  let reference: Engine;
  beforeAll(async () => {
    device = await requestHipDevice(await gpu.adapter());
    engine = await loadEngine(files, { ...OPTIONS, device, conversations: 1 });
    reference = await loadEngine(files, { ...OPTIONS, backend: 'wasm', threads: 1 });
  }, SLOW);
  afterAll(() => {
    engine?.close();
    reference?.close();
    device?.destroy();
  });

  /** What comes of a prompt, steps, a cut near and one far, a fork after it. */
  const rowsOf = async (sequence: Sequence): Promise<Float32Array[]> => {
    const rows = [await sequence.forward(text(800)), await sequence.forward([2])];
    sequence.truncate(700);
    rows.push(await sequence.forward([5]));
    sequence.truncate(60);
    const fork = sequence.fork();
    rows.push(await sequence.forward([6]), await sequence.forward([7]), await fork.forward(text(4, 4)));
    expect([sequence.length, fork.length]).toEqual([62, 64]);
    expect(sequence.tokens).toEqual([...text(800).slice(0, 60), 6, 7]);
    fork.dispose();
    return rows;
  };

  it(
    'gives the logits of WebAssembly, and computes anew what was given back; so does one that was saved',
    async () => {
      const [sequence, other] = [engine.createSequence(), reference.createSequence()];
      const [given, wanted] = [await rowsOf(sequence), await rowsOf(other)];
      for (const [i, row] of given.entries()) expect([i, relativeError(row, wanted[i]!) < 2e-4]).toEqual([i, true]);
      await sequence.forward(text(800, 5), { logits: 'none' });
      other.truncate(50);
      // Saved with what a window holds, and where nothing of it is left.
      for (const cut of [850, 50]) {
        sequence.truncate(cut);
        const abort = new AbortController();
        const ended = sequence.forward([1, 2], { signal: abort.signal, onProgress: () => abort.abort() });
        await expect(ended).rejects.toMatchObject({ code: 'aborted' });
        expect(sequence.length).toBe(cut);
        const bytes = await collect(writeSaved(engine, await sequence.save(), {}));
        const { sequence: again } = await readSaved(engine, bytes, () => undefined);
        const row = await sequence.forward([3]);
        expect(await again.forward([3])).toEqual(row);
        again.dispose();
        if (cut !== 50) continue;
        expect(relativeError(row, await other.forward([3]))).toBeLessThan(2e-4);
        await refusedByOthers(bytes);
      }
      sequence.dispose();
      other.dispose();
    },
    SLOW,
  );

  /** An engine that holds everything goes on from nothing of this one's. */
  const refusedByOthers = async (bytes: Uint8Array): Promise<void> => {
    const whole = await loadEngine(files, { ...OPTIONS, device });
    await expect(readSaved(whole, bytes, () => undefined)).rejects.toMatchObject({
      code: 'saved-mismatch',
      details: { what: 'layout' },
    });
    expect(engine.memory.cache).toBeLessThan(0.7 * whole.memory.cache);
    whole.close();
  };

  it('refuses a number of conversations that is none', async () => {
    const failed = loadEngine(files, { ...OPTIONS, device, conversations: 0 });
    await expect(failed).rejects.toMatchObject({ code: 'invalid-input', details: { name: 'conversations' } });
  });
});
