// Memory: said before anything is allocated, refused by type, and nothing lost where the engine gets none.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { canonicalBindings, openCheckpoint, storedShape, weightSlots, type OpenCheckpoint } from '@hip/checkpoints';
import { loadEngine } from '../../src/engine/load.ts';
import { planEngine } from '../../src/engine/plan.ts';
import { withEngine } from '../helpers/compare.ts';
import { tinyModel } from '../helpers/tiny.ts';

afterEach(() => vi.restoreAllMocks());

/** A checkpoint whose tensors are announced but not there. */
async function announced(fields: Readonly<Record<string, unknown>>): Promise<OpenCheckpoint> {
  await using checkpoint = await openCheckpoint(tinyModel().files);
  const { family } = checkpoint;
  const config = family.readConfig({ ...checkpoint.config.raw, ...fields });
  const slots = weightSlots(config);
  const shapes = new Map(
    canonicalBindings(family, config, slots).map((binding, at) => [
      binding.tensor,
      storedShape(binding, slots[at]!.shape, undefined),
    ]),
  );
  const info = (name: string) => {
    const shape = shapes.get(name)!;
    const byteLength = 4 * shape.reduce((product, extent) => product * extent, 1);
    return Promise.resolve({ name, dtype: 'F32' as const, shape, byteLength });
  };
  return {
    ...checkpoint,
    config,
    bind: (asked) => canonicalBindings(family, config, asked),
    weights: { ...checkpoint.weights, info },
  };
}

describe('planEngine', () => {
  it.each([
    ['stored', 4],
    ['f32', 4],
    ['f16', 2],
    ['q8', 34 / 32],
    ['q4', 20 / 32],
  ] as const)('%s: weights are what the engine then takes', async (weights, bytes) => {
    const { files } = tinyModel({ tie_word_embeddings: false, intermediate_size: 64 });
    await using checkpoint = await openCheckpoint(files);
    const plan = await planEngine(checkpoint, { weights, threads: 1, contextTokens: 300 });
    await withEngine(checkpoint, { weights, contextTokens: 300 }, async (engine) => {
      expect(engine.memory.weights).toBe(plan.weights);
      const sequence = engine.createSequence();
      await sequence.forward(Array.from({ length: 300 }, (_, i) => i % 40));
      expect(engine.memory.total).toBeLessThanOrEqual(plan.total);
      expect(engine.memory.cache).toBeLessThanOrEqual(plan.cache);
    });
    const linear = 3 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64);
    const tables = 2 * 40 * 32;
    expect(plan.weights).toBeGreaterThan(linear * bytes);
    expect(plan.weights).toBeLessThan(linear * bytes + tables * Math.max(bytes, 34 / 32) + 4 * 7 * 32 + 1);
  });

  it('grows with the context', async () => {
    await using checkpoint = await openCheckpoint(tinyModel().files);
    const of = async (contextTokens: number, cache: 'f16' | 'f32') =>
      (await planEngine(checkpoint, { contextTokens, cache, threads: 1, attention: 'dense' })).cache;
    const [small, large, exact] = [await of(256, 'f16'), await of(2560, 'f16'), await of(2560, 'f32')];
    expect(small).toBeGreaterThanOrEqual(256 * 3 * 2 * 2 * 8 * 2);
    expect(large / small).toBeCloseTo(10, 0);
    expect(exact / large).toBeCloseTo(2, 1);
  });
});

describe('out of memory', () => {
  it('is said before anything is allocated where weights do not fit into WebAssembly', async () => {
    const huge = await announced({ hidden_size: 8192, intermediate_size: 32_768, num_hidden_layers: 4 });
    const grow = vi.spyOn(WebAssembly.Memory.prototype, 'grow');
    const failed = await loadEngine(huge).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'out-of-memory', details: { available: 2 ** 32 } });
    expect(grow).not.toHaveBeenCalled();
    const { weights, total } = await planEngine(huge, { weights: 'q4', threads: 1 });
    expect(weights).toBeGreaterThan(2 ** 31);
    expect(weights).toBeLessThan(2 ** 32);
    expect(total).toBeGreaterThan(weights);
  });

  it('in a step leaves the sequence as it was', async () => {
    await withEngine(tinyModel({ head_dim: 64 }).files, {}, async (engine) => {
      const sequence = engine.createSequence();
      await sequence.forward([1, 2, 3], { logits: 'none' });
      const expected = await sequence.fork().forward([4]);
      vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(() => {
        throw new RangeError('no more');
      });
      const failed = await sequence
        .forward(Array.from({ length: 400 }, (_, i) => i % 40))
        .catch((error: unknown) => error);
      expect(failed).toMatchObject({ name: 'LlmError', code: 'out-of-memory' });
      expect(sequence.length).toBe(3);
      vi.restoreAllMocks();
      expect(await sequence.forward([4])).toEqual(expected);
    });
  });

  it('while loading is a typed error, too', async () => {
    vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(() => {
      throw new RangeError('no more');
    });
    const { files } = tinyModel({ vocab_size: 40_000 });
    await expect(loadEngine(files, { threads: 1 })).rejects.toMatchObject({ code: 'out-of-memory' });
  });
});
