// Sequences on WebGPU: the logits of WebAssembly however tokens come, conversations together as each alone, failures that leave no trace.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import type { BlockMask } from '@hip/mask-search';
import { logSumExp } from '@hip/checkpoints/generation';
import { loadEngine } from '../../../src/engine/load.ts';
import type { Engine, EngineOptions } from '../../../src/engine/types.ts';
import { argmaxRows, relativeError } from '../../helpers/compare.ts';
import { tinyModel } from '../../helpers/tiny.ts';

/** Milliseconds: shaders are compiled for a processor, of which others may want most. */
const SLOW = 600_000;
const VOCABULARY = 40;
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => (i * i * 7 + i * seed + seed) % VOCABULARY);
/** A mask without its blocks. */
const layoutOf = (mask: BlockMask | undefined): Partial<BlockMask> | undefined => {
  const { starts: _, counts: __, ...layout } = mask ?? {};
  return mask && layout;
};
/** Of all blocks that either mask holds, the share that both hold. */
const agreement = (one: BlockMask, other: BlockMask): number => {
  const [a, b] = [one, other].map(({ starts, counts, capacity }) => {
    const cells = Array.from(counts, (count, cell) => [...starts.subarray(cell * capacity, cell * capacity + count)]);
    return new Set(cells.flatMap((blocks, cell) => blocks.map((start) => `${cell}:${start}`)));
  }) as [Set<string>, Set<string>];
  const both = [...a].filter((block) => b.has(block)).length;
  return both / (a.size + b.size - both);
};
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );
// Token 7 of the last model overflows.
const { files } = tinyModel();
const broken = tinyModel(
  { tie_word_embeddings: false },
  {
    change: (name, values) => {
      if (name === 'embeddings.token.weight') values[7 * 32] = NaN;
    },
  },
);
/** Few stages: a processor compiles each for seconds. */
const SEARCHED = {
  k: 64,
  blockK: 8,
  blockQ: 16,
  window: 32,
  sink: 4,
  denseLayers: 1,
  stages: [
    { chunk: 32, keep: 256, strideQ: 4, rows: 'mean', score: 'bound', refresh: 4 },
    { chunk: 8, keep: 64, strideQ: 4, rows: 'max', score: 'exact', refresh: 2 },
  ],
} as const;
const EXACT: EngineOptions = { weights: 'f32', cache: 'f32', contextTokens: 300, cacheTokens: 4096 };

describeGpu('an engine', (gpu) => {
  let device: GPUDevice;
  let engine: Engine;
  let reference: Engine;
  beforeAll(async () => {
    device = await requestHipDevice(await gpu.adapter());
    engine = await loadEngine(files, { ...EXACT, device });
    reference = await loadEngine(files, { ...EXACT, backend: 'wasm', threads: 1 });
  }, SLOW);
  afterAll(() => {
    engine?.close();
    reference?.close();
    device?.destroy();
  });

  it('says where it computes, and why', () => {
    expect([engine.backend, engine.reason]).toEqual(['webgpu', 'a device was given']);
    expect([reference.backend, reference.reason]).toEqual(['wasm', 'backend: wasm was asked for']);
    expect(engine.memory.total).toBe(engine.memory.weights + engine.memory.cache + engine.memory.scratch);
  });

  it(
    'gives the logits of WebAssembly, however tokens are cut into calls, forked or cut back',
    async () => {
      const ids = text(90);
      const expected = await reference.createSequence().forward(ids, { logits: 'all' });
      const rows = (from: number, to: number) => expected.subarray(from * VOCABULARY, to * VOCABULARY);
      const sequence = engine.createSequence();
      expect(relativeError(await sequence.forward(ids, { logits: 'all' }), expected)).toBeLessThan(2e-4);
      sequence.truncate(60);
      expect(sequence.tokens).toEqual(ids.slice(0, 60));
      const fork = sequence.fork();
      expect(relativeError(await sequence.forward(ids.slice(60, 83)), rows(82, 83))).toBeLessThan(2e-4);
      for (let at = 60; at < 64; at++) {
        expect(relativeError(await fork.forward([ids[at]!]), rows(at, at + 1))).toBeLessThan(2e-4);
      }
      expect(await fork.forward([ids[64]!], { logits: 'none' })).toHaveLength(0);
      expect(relativeError(await fork.forward(ids.slice(65)), rows(89, 90))).toBeLessThan(2e-4);
      expect([sequence.length, fork.length]).toEqual([83, 90]);
      // As many as pass through the layers at a time.
      const whole = await engine.createSequence().forward(text(300));
      expect(relativeError(whole, await reference.createSequence().forward(text(300)))).toBeLessThan(2e-4);
      sequence.dispose();
      fork.dispose();
    },
    SLOW,
  );

  it(
    'gives candidates and losses in place of logits',
    async () => {
      const ids = text(40, 3);
      const logits = await engine.createSequence().forward(ids);
      for (const temperature of [1, 0.7]) {
        const sequence = engine.createSequence();
        // Of a prompt, and of a step.
        await sequence.candidates(ids.slice(0, -1), { temperature });
        const found = await sequence.candidates(ids.slice(-1), { temperature });
        expect(found.of).toBe(VOCABULARY);
        expect(found.ids[0]).toBe(argmaxRows(logits, VOCABULARY)[0]);
        expect([...found.logits]).toEqual([...found.logits].sort((a, b) => b - a));
        for (const [i, id] of found.ids.entries()) expect(found.logits[i]).toBeCloseTo(logits[id]!, 3);
        expect(found.scaledLogSumExp).toBeCloseTo(logSumExp(logits.map((logit) => logit / temperature)), 3);
        expect(found.logSumExp).toBeCloseTo(logSumExp(logits), 3);
        sequence.dispose();
      }
      const losses = await engine.createSequence().losses(ids);
      expect(relativeError(losses, await reference.createSequence().losses(ids))).toBeLessThan(1e-3);
    },
    SLOW,
  );

  it(
    'steps several conversations in one submit, each as alone',
    async () => {
      const prompts = [text(20, 1), text(33, 2), text(5, 3)];
      const run = async (ids: readonly number[], count: number) => {
        const sequence = engine.createSequence();
        await sequence.forward(ids, { logits: 'none' });
        const rows: Float32Array[] = [];
        for (const id of text(count, 4)) rows.push(await sequence.forward([id]));
        sequence.dispose();
        return rows;
      };
      const alone: Float32Array[][] = [];
      for (const ids of prompts) alone.push(await run(ids, 6));
      const sequences = prompts.map(() => engine.createSequence());
      await Promise.all(sequences.map((sequence, i) => sequence.forward(prompts[i]!, { logits: 'none' })));
      const submits = vi.spyOn(device.queue, 'submit');
      const steps = async (of: (typeof sequences)[number], i: number) => {
        const rows: Float32Array[] = [];
        for (const id of text(6, 4)) {
          rows.push(await of.forward([id]));
          // One of them asks a little later.
          if (i === 1) await Promise.resolve();
        }
        return rows;
      };
      const together = await Promise.all(sequences.map(steps));
      expect(submits.mock.calls.length).toBeLessThanOrEqual(6 + 2);
      submits.mockRestore();
      for (const [i, rows] of together.entries())
        for (const [step, row] of rows.entries()) expect(relativeError(row, alone[i]![step]!)).toBeLessThan(1e-5);
      for (const sequence of sequences) sequence.dispose();
    },
    SLOW,
  );

  it(
    'refuses what does not fit, ids that are none, and two calls at once; what is aborted leaves no trace',
    async () => {
      const sequence = engine.createSequence();
      await sequence.forward(text(290), { logits: 'none' });
      const refused = await sequence.forward(text(11)).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'context-full', details: { length: 290, given: 11, contextTokens: 300 } });
      expect(await codeOf(sequence.forward([1, VOCABULARY]))).toBe('invalid-input');
      expect(await codeOf(sequence.candidates([]))).toBe('invalid-input');
      const first = sequence.forward([1]);
      expect(await codeOf(sequence.forward([1]))).toBe('busy');
      expect(() => sequence.fork()).toThrow(expect.objectContaining({ code: 'busy' }));
      await first;
      const abort = new AbortController();
      const run = sequence.forward(text(5), { signal: abort.signal, onProgress: () => abort.abort() });
      expect(await codeOf(run)).toBe('aborted');
      expect(sequence.length).toBe(291);
      const again = await sequence.forward(text(5));
      sequence.truncate(291);
      expect(await sequence.forward(text(5))).toEqual(again);
      sequence.dispose();
      expect(await codeOf(sequence.forward([1]))).toBe('closed');
    },
    SLOW,
  );

  it(
    'keeps pages on the host: prompts of several chunks, steps, forks and cuts are those of a cache that holds everything',
    async () => {
      const options = {
        ...EXACT,
        device,
        contextTokens: 640,
        attention: { config: SEARCHED, denseBelow: 64 },
      };
      const [whole, split] = [
        await loadEngine(files, options),
        await loadEngine(files, { ...options, offload: { tokens: 384 } }),
      ];
      const ids = text(600, 5);
      const runs = [whole, split].map(async (each) => {
        const rows: Float32Array[] = [];
        const masks: (BlockMask | undefined)[] = [];
        const sequence = each.createSequence();
        rows.push(await sequence.forward(ids.slice(0, 530), { masks: [1] }));
        masks.push(sequence.mask(1));
        const step = async (of: typeof sequence, from: number, to: number): Promise<void> => {
          for (const id of ids.slice(from, to)) rows.push(await of.forward([id]));
        };
        await step(sequence, 530, 532);
        rows.push(await sequence.forward([ids[532]!], { masks: [1] }));
        masks.push(sequence.mask(1));
        const fork = sequence.fork();
        // Two conversations at once.
        rows.push(...(await Promise.all([fork.forward(ids.slice(533, 550)), sequence.forward([3])])));
        await step(fork, 550, 552);
        sequence.truncate(520);
        const abort = new AbortController();
        const ended = sequence.forward(ids.slice(0, 30), { signal: abort.signal, onProgress: () => abort.abort() });
        expect(await codeOf(ended)).toBe('aborted');
        await step(sequence, 520, 522);
        return { rows, masks };
      });
      const [wanted, given] = await Promise.all(runs);
      for (const [i, row] of given!.rows.entries())
        expect([i, relativeError(row, wanted!.rows[i]!) < 1e-5]).toEqual([i, true]);
      expect(given!.masks).toMatchObject([
        { queries: 530, keys: 530 },
        { queries: 1, keys: 533 },
      ]);
      expect(given!.masks).toEqual(wanted!.masks);
      expect(split.memory.cache).toBeLessThan(0.7 * whole.memory.cache);
      for (const each of [whole, split]) each.close();
      const few = loadEngine(files, { ...options, offload: { tokens: 64 } });
      await expect(few).rejects.toThrow(/give at least/u);
    },
    SLOW,
  );

  it(
    'refuses tokens for which the cache has no room, in words, and goes on',
    async () => {
      const small = await loadEngine(files, { ...EXACT, device, cacheTokens: 512 });
      const [first, second] = [small.createSequence(), small.createSequence()];
      await first.forward(text(257), { logits: 'none' });
      const full = await second.forward(text(3)).catch((error: unknown) => error);
      expect(full).toMatchObject({ name: 'LlmError', code: 'out-of-memory' });
      expect([first.length, second.length]).toEqual([257, 0]);
      const expected = await first.forward([1]);
      first.truncate(3);
      await second.forward(text(3), { logits: 'none' });
      expect([expected.length, second.length]).toEqual([VOCABULARY, 3]);
      small.close();
      expect(await codeOf(second.forward([1]))).toBe('closed');
      expect(() => small.createSequence()).toThrow(expect.objectContaining({ code: 'closed' }));
    },
    SLOW,
  );

  it(
    'names the position after which logits are not finite, and leaves the sequence as it was',
    async () => {
      const own = await loadEngine(broken.files, { ...EXACT, device });
      const sequence = own.createSequence();
      await sequence.forward([1, 2, 3], { logits: 'none' });
      for (const logits of ['last', 'all', 'none'] as const) {
        const failed = await sequence.forward([1, 7, 2], { logits }).catch((error: unknown) => error);
        expect(failed).toMatchObject({ code: 'non-finite-logits', details: { position: 4 } });
        expect(sequence.length).toBe(3);
      }
      expect(await codeOf(sequence.forward([7]))).toBe('non-finite-logits');
      expect(await codeOf(sequence.losses([7, 7]))).toBe('non-finite-logits');
      expect(sequence.length).toBe(3);
      expect((await sequence.forward([4])).every(Number.isFinite)).toBe(true);
      own.close();
    },
    SLOW,
  );

  it(
    'selects keys by HiP as WebAssembly does',
    async () => {
      const attention = { denseBelow: 0, config: { k: 64, window: 64, sink: 8, denseLayers: 1 } };
      const ids = text(280, 5);
      const read = async (options: EngineOptions) => {
        const own = await loadEngine(files, { ...EXACT, attention, ...options });
        const sequence = own.createSequence();
        const rows = [await sequence.forward(ids.slice(0, 277), { masks: [0, 1, 2] })];
        const masks = [0, 1, 2, 99].map((layer) => sequence.mask(layer));
        for (const id of ids.slice(277, 279)) rows.push(await sequence.forward([id]));
        const unasked = sequence.mask(1);
        rows.push(await sequence.forward(ids.slice(279), { masks: [1] }));
        masks.push(sequence.mask(1));
        expect(await codeOf(sequence.forward([1], { masks: [3] }))).toBe('invalid-input');
        own.close();
        return { rows, masks, unasked };
      };
      const [found, expected] = [await read({ device }), await read({ backend: 'wasm', threads: 1 })];
      for (const [i, row] of found.rows.entries()) expect(relativeError(row, expected.rows[i]!)).toBeLessThan(0.02);
      // The same keys, but where two scores are as good as equal.
      expect(found.masks).toMatchObject(expected.masks.map(layoutOf));
      const both = expected.masks.flatMap((mask, i) => (mask ? [agreement(found.masks[i]!, mask)] : []));
      expect(Math.min(...both)).toBeGreaterThan(0.98);
      expect(expected.masks.map((mask) => mask !== undefined)).toEqual([false, true, true, false, true]);
      expect(found.unasked).toBeUndefined();
    },
    SLOW,
  );

  describe('a device that is lost', () => {
    it(
      'is a typed error; another engine goes on from the tokens',
      async () => {
        const own = await requestHipDevice(await gpu.adapter());
        const lost = await loadEngine(files, { ...EXACT, device: own });
        const sequence = lost.createSequence();
        await sequence.forward(text(20), { logits: 'none' });
        own.destroy();
        await own.lost;
        expect(await codeOf(sequence.forward([1]))).toBe('device-lost');
        expect(await codeOf(sequence.forward([1, 2]))).toBe('device-lost');
        expect(() => lost.createSequence()).toThrow(expect.objectContaining({ code: 'device-lost' }));
        expect(sequence.tokens).toEqual(text(20));
        const next = engine.createSequence();
        const logits = await next.forward([...sequence.tokens, 1]);
        const expected = await reference.createSequence().forward([...text(20), 1]);
        expect(relativeError(logits, expected)).toBeLessThan(2e-4);
        lost.close();
      },
      SLOW,
    );
  });

  describe('memory', () => {
    it('is refused before anything is allocated where a limit says so', async () => {
      const create = vi.spyOn(device, 'createBuffer');
      const failed = await loadEngine(files, { ...EXACT, device, memoryLimit: 100_000 }).catch(
        (error: unknown) => error,
      );
      expect(failed).toMatchObject({ code: 'out-of-memory', details: { backend: 'webgpu', available: 100_000 } });
      expect(create).not.toHaveBeenCalled();
      create.mockRestore();
    });

    it('that the GPU refuses is a typed error, and nothing is read', async () => {
      const pop = device.popErrorScope.bind(device);
      let refused = 0;
      vi.spyOn(device, 'popErrorScope').mockImplementation(async () => {
        const error = await pop();
        return error ?? (refused++ === 0 ? ({ message: 'no memory' } as GPUError) : null);
      });
      const loaded = vi.fn<() => void>();
      const failed = await loadEngine(files, { ...EXACT, device, onProgress: loaded }).catch((error: unknown) => error);
      vi.restoreAllMocks();
      expect(failed).toMatchObject({ name: 'LlmError', code: 'out-of-memory' });
      expect(loaded).not.toHaveBeenCalled();
    });
  });
});
