// Layers without attention or without FFN, as sub-networks have them: WebGPU computes what WebAssembly does, and masks keep the model's layer numbers.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import { loadEngine } from '../../../src/engine/load.ts';
import type { Engine, EngineOptions } from '../../../src/engine/types.ts';
import { relativeError } from '../../helpers/compare.ts';
import { tinyModel } from '../../helpers/tiny.ts';

const SLOW = 600_000;
const VOCABULARY = 40;
const text = (length: number) => Array.from({ length }, (_, i) => (i * i * 7 + i + 1) % VOCABULARY);
/** Searched by the one layer that attends last. */
const SEARCHED = {
  k: 64,
  blockK: 8,
  blockQ: 16,
  window: 32,
  sink: 4,
  denseLayers: 2,
  stages: [{ chunk: 8, keep: 64, strideQ: 4, rows: 'max', score: 'exact', refresh: 2 }],
} as const;
const OPTIONS: EngineOptions = {
  weights: 'f32',
  cache: 'f32',
  contextTokens: 320,
  attention: { config: SEARCHED, denseBelow: 64 },
};
const { files } = tinyModel({
  num_hidden_layers: 5,
  // FFNs before any attention, an attention without FFN, an FFN alone, and both.
  instatune_layers: { heads: [0, 4, 0, 0, 2], ffn: [48, 0, 16, 0, 40], head_size: 8 },
});

describeGpu('layers that lack a block', (gpu) => {
  let device: GPUDevice;
  let engine: Engine;
  let reference: Engine;
  beforeAll(async () => {
    device = await requestHipDevice(await gpu.adapter());
    engine = await loadEngine(files, { ...OPTIONS, device });
    reference = await loadEngine(files, { ...OPTIONS, backend: 'wasm', threads: 1 });
  }, SLOW);
  afterAll(() => {
    engine?.close();
    reference?.close();
    device?.destroy();
  });

  it(
    'gives the logits of WebAssembly: of a prompt, of steps, saved and restored',
    async () => {
      const ids = text(60);
      const expected = await reference.createSequence().forward(ids, { logits: 'all' });
      const rows = (from: number, to: number) => expected.subarray(from * VOCABULARY, to * VOCABULARY);
      for (const one of [engine, reference]) {
        const sequence = one.createSequence();
        expect(relativeError(await sequence.forward(ids.slice(0, 50), { logits: 'all' }), rows(0, 50))).toBeLessThan(
          2e-4,
        );
        for (let at = 50; at < 53; at++)
          expect(relativeError(await sequence.forward([ids[at]!]), rows(at, at + 1))).toBeLessThan(2e-4);
        using saved = await sequence.save();
        const again = await one.restoreSequence(saved);
        expect(relativeError(await again.forward(ids.slice(53)), rows(59, 60))).toBeLessThan(2e-4);
        for (const each of [sequence, again]) each.dispose();
      }
    },
    SLOW,
  );

  it(
    'numbers masks by the layers of the model',
    async () => {
      for (const one of [engine, reference]) {
        const sequence = one.createSequence();
        await sequence.forward(text(300), { logits: 'none', masks: [0, 1, 4] });
        expect([0, 1, 2, 3, 4].map((layer) => sequence.mask(layer) !== undefined)).toEqual([
          false,
          false,
          false,
          false,
          true,
        ]);
        await expect(sequence.forward([1], { masks: [5] })).rejects.toMatchObject({ code: 'invalid-input' });
        sequence.dispose();
      }
    },
    SLOW,
  );

  it('is refused where no layer attends', async () => {
    const none = tinyModel({
      num_hidden_layers: 2,
      instatune_layers: { heads: [0, 0], ffn: [48, 16], head_size: 8 },
    });
    await expect(loadEngine(none.files, { backend: 'wasm' })).rejects.toMatchObject({
      code: 'unsupported-model',
      details: { reasons: ['no attention in any layer'] },
    });
  });
});
