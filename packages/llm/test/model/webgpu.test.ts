// A sequence on a GPU that was saved goes on as if it had not been, in an engine that has pages of others.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import { loadEngine } from '../../src/engine/load.ts';
import type { Engine, EngineOptions } from '../../src/engine/types.ts';
import { collect } from '../../src/saved/collect.ts';
import { readSaved, writeSaved } from '../../src/saved/document.ts';
import { tinyModel } from '../helpers/tiny.ts';

/** Milliseconds: shaders are compiled for a processor, of which others may want most. */
const SLOW = 600_000;
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => (i * i * 7 + i * seed + seed) % 40);
const attention = { denseBelow: 0, config: { k: 64, window: 64, sink: 8, denseLayers: 0 } };
const OPTIONS: EngineOptions = { weights: 'f32', cache: 'f16', contextTokens: 600, cacheTokens: 3000, attention };
const { files } = tinyModel({ num_hidden_layers: 1 });

describeGpu('a sequence on a GPU', (gpu) => {
  let device: GPUDevice;
  let engine: Engine;
  beforeAll(async () => {
    device = await requestHipDevice(await gpu.adapter());
    engine = await loadEngine(files, { ...OPTIONS, device });
  }, SLOW);
  afterAll(() => {
    engine?.close();
    device?.destroy();
  });

  it(
    'goes on as if it had not been saved: pages, searches, cuts, forks',
    async () => {
      const sequence = engine.createSequence();
      await sequence.forward(text(300), { logits: 'none' });
      for (const id of text(5, 2)) await sequence.forward([id], { logits: 'none' });
      const saved = await sequence.save();
      const bytes = await collect(writeSaved(engine, saved, {}));
      const { sequence: again, tokens } = await readSaved(engine, bytes, () => undefined);
      expect(tokens).toEqual(sequence.tokens);
      const steps = async (of: typeof sequence) => {
        const out: Float32Array[] = [];
        for (const id of text(6, 3)) out.push(await of.forward([id]));
        of.truncate(304);
        for (const id of text(3, 4)) out.push(await of.forward([id]));
        out.push(await of.forward(text(40, 5)), await of.forward([7]));
        return out;
      };
      const fork = again.fork();
      const expected = await steps(sequence);
      expect(await steps(again)).toEqual(expected);
      expect(await fork.forward([text(6, 3)[0]!])).toEqual(expected[0]);
      const free = engine.memory.cache;
      await expect(readSaved(engine, bytes.subarray(0, -100), () => undefined)).rejects.toMatchObject({
        code: 'saved-damaged',
      });
      expect(engine.memory.cache).toBe(free);
      for (const each of [sequence, again, fork]) each.dispose();
      const cpu = await loadEngine(files, { ...OPTIONS, backend: 'wasm', threads: 1 });
      expect(cpu.fingerprint).toBe(engine.fingerprint);
      await expect(readSaved(cpu, bytes, () => undefined)).rejects.toMatchObject({
        code: 'saved-mismatch',
        details: { what: 'layout' },
      });
      cpu.close();
    },
    SLOW,
  );

  it(
    'goes on from pages that lay on the host',
    async () => {
      const options = { ...OPTIONS, attention: { denseBelow: 64, config: attention.config }, offload: { tokens: 448 } };
      const offloaded = await loadEngine(files, { ...options, device });
      const sequence = offloaded.createSequence();
      await sequence.forward(text(500), { logits: 'none' });
      for (const id of text(3, 2)) await sequence.forward([id], { logits: 'none' });
      const bytes = await collect(writeSaved(offloaded, await sequence.save(), {}));
      const { sequence: again } = await readSaved(offloaded, bytes, () => undefined);
      const steps = async (of: typeof sequence) => {
        const out: Float32Array[] = [];
        for (const id of text(4, 3)) out.push(await of.forward([id]));
        return [...out, await of.forward(text(30, 5)), await of.forward([7])];
      };
      expect(await steps(again)).toEqual(await steps(sequence));
      await expect(readSaved(engine, bytes, () => undefined)).rejects.toMatchObject({
        code: 'saved-mismatch',
        details: { what: 'layout' },
      });
      offloaded.close();
    },
    SLOW,
  );
});
