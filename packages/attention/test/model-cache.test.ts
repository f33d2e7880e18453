// The cache whose keys and values stay with the kernels, against the one that hands tfjs whole tensors.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { describeGpu } from '@hip/testing';
import type { AttentionShape, BlockMask } from '@hip/mask-search';
import {
  denseModelAttention,
  hipModelAttention,
  hipModelCache,
  KvCache,
  prepareAttention,
  type LayerContext,
  type ModelCacheOptions,
  type PreparedAttention,
} from '../src/index.ts';
import { BACKENDS, randomInputs, SMALL, tensorsOf, TOLERANCE, useBackend } from './helpers.ts';

const T = 160;
const context = (layer: number, more: Partial<LayerContext> = {}): LayerContext => ({
  layer,
  causal: true,
  scale: 0.25,
  ...more,
});
const LAYERS = [context(0), context(1), context(2, { window: 24 }), context(3, { window: 1000 })];

interface Run {
  readonly outputs: tf.TypedArray[];
  readonly masks: (readonly [layer: number, queries: number, keys: number])[];
  readonly length: number;
}

/** Four layers of a model over chunks of these lengths, on a cache that knows its attention, or on a KvCache: their outputs. */
function outputsOf(
  shape: AttentionShape,
  chunks: readonly number[],
  options: ModelCacheOptions,
  isResident: boolean,
): Omit<Run, 'outputs'> & { readonly outputs: tf.Tensor4D[] } {
  const masks: Run['masks'] = [];
  const all = {
    ...options,
    onMask: ({ queries, keys }: BlockMask, layer: number) => masks.push([layer, queries, keys]),
  };
  const own = isResident ? hipModelCache(all) : undefined;
  using cache = own ?? new KvCache();
  const attention = own?.attention ?? hipModelAttention(all);
  const outputs: tf.Tensor4D[] = [];
  const tensors = LAYERS.map((_, layer) => tensorsOf(randomInputs(shape, 10 + layer), shape));
  let start = 0;
  for (const count of chunks) {
    for (const [index, layer] of LAYERS.entries()) {
      outputs.push(
        tf.tidy(() => {
          const [q, k, v] = tensors[index]!.map((t) =>
            tf.slice4d(t, [0, start, 0, 0], [t.shape[0], count, t.shape[2], t.shape[3]]),
          ) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
          const held = cache.append(layer.layer, k, v);
          return attention(q, held.k, held.v, layer);
        }),
      );
    }
    start += count;
  }
  tf.dispose(tensors.flat());
  return { outputs, masks, length: cache.length };
}

function run(shape: AttentionShape, chunks: readonly number[], options: ModelCacheOptions, isResident: boolean): Run {
  const { outputs, ...rest } = outputsOf(shape, chunks, options, isResident);
  const values = outputs.map((output) => output.dataSync());
  tf.dispose(outputs);
  return { outputs: values, ...rest };
}

/** Where nothing can be read at once. */
async function runAsync(...args: Parameters<typeof run>): Promise<Run> {
  const { outputs, ...rest } = outputsOf(...args);
  const values = await Promise.all(outputs.map((output) => output.data()));
  tf.dispose(outputs);
  return { outputs: values, ...rest };
}

describe.each(BACKENDS)('hipModelCache on %s', (backend) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    prepared = await useBackend(backend);
  });
  afterAll(() => prepared.close());

  it('says what hipModelAttention says over a KvCache, with the same searches, in any chunks', () => {
    const before = tf.memory().numTensors;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 60 })), { minLength: 1, maxLength: 12 }),
        fc.record({
          batch: fc.integer({ min: 1, max: 2 }),
          kvHeads: fc.integer({ min: 1, max: 2 }),
          group: fc.integer({ min: 1, max: 2 }),
          dense: fc.constantFrom('never', 'auto', 'always'),
          denseLayers: fc.integer({ min: 0, max: 2 }),
          refreshInterval: fc.integer({ min: 1, max: 5 }),
          staged: fc.boolean(),
        }),
        (lengths, { batch, kvHeads, group, dense, denseLayers, refreshInterval, staged }) => {
          const chunks: number[] = [];
          for (const one of lengths) if (chunks.reduce((sum, c) => sum + c, one) <= T) chunks.push(one);
          const tokens = chunks.reduce((sum, one) => sum + one, 0);
          const shape = { batch, queries: tokens, keys: tokens, heads: kvHeads * group, kvHeads, headDim: 8 };
          const config = { ...SMALL, denseLayers, refreshInterval, ...(!staged && { stages: undefined }) };
          const options = { config, dense, layerK: { 1: 16 } } as const;
          const [resident, whole] = [run(shape, chunks, options, true), run(shape, chunks, options, false)];
          expect(resident.masks).toEqual(whole.masks);
          expect(resident.length).toBe(tokens);
          for (const [i, output] of resident.outputs.entries()) {
            expect(output, `call ${i}`).toBeAllclose(whole.outputs[i]!, TOLERANCE);
          }
        },
      ),
      { numRuns: 25 },
    );
    expect(tf.memory().numTensors).toBe(before);
  });

  it('holds keys and values in float16 if asked to: half the bytes, near the same', () => {
    const shape = { batch: 1, queries: 120, keys: 120, heads: 2, kvHeads: 1, headDim: 8 };
    const options = { config: SMALL, dense: 'never' } as const;
    const exact = run(shape, [100, 1, 19], options, false);
    const half = run(shape, [100, 1, 19], { ...options, type: 'f16' }, true);
    expect(half.outputs[0]).toBeAllclose(exact.outputs[0]!, { atol: 2e-2, rtol: 2e-2 });
    expect(half.outputs[0]).not.toEqual(exact.outputs[0]);
    const bytes = (type: 'f32' | 'f16') => {
      using cache = hipModelCache({ ...options, type });
      feed(cache, shape);
      return cache.bytes;
    };
    expect(bytes('f16')).toBeLessThan(0.75 * bytes('f32'));
  });
});

function feed(cache: ReturnType<typeof hipModelCache>, shape: AttentionShape, more: Partial<LayerContext> = {}): void {
  tf.tidy(() => {
    const [q, k, v] = tensorsOf(randomInputs(shape, 1), shape);
    const held = cache.append(0, k, v);
    cache.attention(q, held.k, held.v, context(0, more));
  });
}

describe('hipModelCache', () => {
  const shape = { batch: 1, queries: 40, keys: 40, heads: 4, kvHeads: 2, headDim: 8 };
  const cut = { ...shape, queries: 1, keys: 1 };
  let prepared: PreparedAttention;
  beforeAll(async () => {
    prepared = await useBackend('cpu');
  });
  afterEach(async () => {
    await tf.setBackend('cpu');
  });
  afterAll(() => prepared.close());

  it('starts anew after dispose, and frees what it held', () => {
    const cache = hipModelCache({ config: SMALL });
    feed(cache, shape);
    feed(cache, cut);
    expect(cache.length).toBe(41);
    const held = prepared.cpu!.usedBytes;
    cache.dispose();
    expect(cache).toMatchObject({ length: 0, bytes: 0 });
    expect(prepared.cpu!.usedBytes).toBeLessThan(held);
    feed(cache, cut);
    expect(cache.length).toBe(1);
    cache.dispose();
  });

  it('must be attended from: tokens that its attention never saw are an error, not an answer', () => {
    using cache = hipModelCache();
    tf.tidy(() => {
      const [q, k, v] = tensorsOf(randomInputs(shape, 1), shape);
      cache.append(0, k, v);
      expect(() => cache.append(0, k, v)).toThrow(
        expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('cache.attention') as string }),
      );
      expect(() => cache.attention(q, k, v, context(1))).toThrow(/layer 1 has no new tokens/);
    });
  });

  it('refuses what it cannot attend from, and keeps what it has', () => {
    using cache = hipModelCache({ config: SMALL, maxTokens: 41 });
    feed(cache, shape);
    const codeOf = (action: () => void) => {
      try {
        action();
        return 'none';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(codeOf(() => feed(cache, { ...cut, headDim: 16 }))).toBe('invalid-shape');
    expect(codeOf(() => feed(cache, { ...cut, batch: 2 }))).toBe('invalid-shape');
    expect(codeOf(() => feed(cache, { ...cut, heads: 2 }))).toBe('invalid-shape');
    expect(codeOf(() => feed(cache, cut, { scale: 0.5 }))).toBe('invalid-config');
    expect(codeOf(() => feed(cache, cut, { causal: false }))).toBe('unsupported');
    expect(codeOf(() => feed(cache, cut, { window: 0 }))).toBe('invalid-config');
    expect(codeOf(() => feed(cache, cut, { mask: tf.ones([1, 41]) }))).toBe('unsupported');
    expect(cache.length).toBe(40);
    feed(cache, cut);
    expect(codeOf(() => feed(cache, cut))).toBe('out-of-memory');
    expect(cache.length).toBe(41);
    for (const bad of [{ type: 'f8' }, { maxTokens: 0 }, { dense: 'perhaps' }, { config: { k: -1 } }])
      expect(codeOf(() => hipModelCache(bad as ModelCacheOptions))).toBe('invalid-config');
  });

  it('says that its kernels are gone once they are', async () => {
    const earlier = await prepareAttention({ threads: 1 });
    const cache = hipModelCache({ config: SMALL });
    feed(cache, shape);
    prepared = await prepareAttention({ threads: 2 });
    expect(() => feed(cache, cut)).toThrow(/closed/);
    earlier.close();
    prepared.close();
    expect(() => hipModelCache()).toThrow(expect.objectContaining({ code: 'unsupported' }));
    prepared = await prepareAttention({ threads: 2 });
  });

  it('is dense where asked to be', () => {
    const all = run({ ...shape, heads: 2 }, [30, 1, 9], { dense: 'always' }, true);
    expect(all.masks).toEqual([]);
    const [q, k, v] = tensorsOf(randomInputs({ ...shape, heads: 2 }, 10), { ...shape, heads: 2 });
    const dense = denseModelAttention()(q, k, v, context(0));
    expect(all.outputs.at(-4)).toBeAllclose(dense.dataSync().slice(31 * 16), TOLERANCE);
    tf.dispose([q, k, v, dense]);
  });
});

describeGpu('hipModelCache on webgpu', (gpu) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    // Installs navigator.gpu before tfjs looks for it.
    await gpu.adapter();
    await import('@tensorflow/tfjs-backend-webgpu');
    await tf.setBackend('webgpu');
    prepared = await prepareAttention();
  });
  afterAll(() => prepared.close());

  const shape = { batch: 1, queries: T, keys: T, heads: 2, kvHeads: 1, headDim: 16 };
  const options: ModelCacheOptions = {
    config: { ...SMALL, denseLayers: 1, refreshInterval: 3 },
    dense: 'never',
    layerK: { 1: 16 },
  };

  it('says what hipModelAttention says over a KvCache, with the same searches, in any chunks and batches', async () => {
    const before = tf.memory().numTensors;
    const chunk = fc.oneof(
      { weight: 2, arbitrary: fc.constant(1) },
      { weight: 1, arbitrary: fc.integer({ min: 2, max: 60 }) },
    );
    const cases = fc.record({
      chunks: fc.array(chunk, { minLength: 2, maxLength: 6 }),
      batch: fc.integer({ min: 1, max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ chunks, batch }) => {
        const lengths = [40, ...chunks];
        while (lengths.reduce((sum, one) => sum + one, 0) > T) lengths.pop();
        const of = { ...shape, batch };
        const [resident, whole] = [
          await runAsync(of, lengths, options, true),
          await runAsync(of, lengths, options, false),
        ];
        for (const [i, output] of resident.outputs.entries())
          // One row's sums have an order of their own here.
          expect(output, `call ${i}`).toBeAllclose(whole.outputs[i]!, { rtol: 1e-4, atol: 2e-5 });
        await vi.waitFor(() => expect(resident.masks).toEqual(whole.masks));
        expect(resident.length).toBe(whole.length || lengths.reduce((sum, one) => sum + one, 0));
      }),
      { numRuns: 4 },
    );
    expect(tf.memory().numTensors).toBe(before);
  });

  it('keeps keys and values where the kernels read them: an append copies none of those before, and memory doubles', async () => {
    using cache = hipModelCache({ config: SMALL, dense: 'always' });
    const long = { ...shape, queries: 250, keys: 250, heads: 1, headDim: 8 };
    const feedOne = (of: AttentionShape): tf.Tensor4D =>
      tf.tidy(() => {
        const [q, k, v] = tensorsOf(randomInputs(of, 1), of);
        const held = cache.append(0, k, v);
        // What a model passes on is the new tokens: nobody makes a tensor of all.
        expect(held.k.shape[1]).toBe(of.keys);
        return cache.attention(q, held.k, held.v, context(0));
      });
    feedOne(long).dispose();
    const { bytes } = cache;
    feedOne({ ...long, queries: 1, keys: 1 }).dispose();
    expect(cache.bytes).toBe(bytes);
    const out = feedOne({ ...long, queries: 6, keys: 6 });
    expect([cache.length, cache.bytes / bytes]).toEqual([257, 2]);
    // The same from a cache that never grew.
    using wide = hipModelCache({ config: SMALL, dense: 'always', maxTokens: 600 });
    const [expected] = await Promise.all([lastOf(wide, long), out.data()]);
    expect(await out.data()).toBeAllclose(expected, { rtol: 1e-4, atol: 2e-5 });
    out.dispose();
  });

  it('holds keys and values in float16 if asked to: half the bytes, near the same', async () => {
    const dense: ModelCacheOptions = { dense: 'always' };
    const exact = await runAsync(shape, [100, 1, 19], dense, true);
    const half = await runAsync(shape, [100, 1, 19], { ...dense, type: 'f16' }, true);
    expect(half.outputs[4]).toBeAllclose(exact.outputs[4]!, { atol: 2e-2, rtol: 2e-2 });
    expect(half.outputs[4]).not.toEqual(exact.outputs[4]);
  });

  it('refuses what it cannot attend from, and keeps what it has', () => {
    using cache = hipModelCache({ config: SMALL, maxTokens: 41 });
    const [prompt, cut] = [
      { ...shape, queries: 40, keys: 40 },
      { ...shape, queries: 1, keys: 1 },
    ];
    const codeOf = (action: () => void) => {
      try {
        action();
        return 'none';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    feed(cache, prompt);
    expect(codeOf(() => feed(cache, { ...cut, headDim: 8 }))).toBe('invalid-shape');
    expect(codeOf(() => feed(cache, { ...cut, heads: 4 }))).toBe('invalid-shape');
    expect(codeOf(() => feed(cache, cut, { scale: 0.5 }))).toBe('invalid-config');
    expect(codeOf(() => feed(cache, cut, { causal: false }))).toBe('unsupported');
    expect(cache.length).toBe(40);
    feed(cache, cut);
    expect(codeOf(() => feed(cache, cut))).toBe('out-of-memory');
    expect(cache.length).toBe(41);
    cache.truncate(7);
    feed(cache, cut);
    expect(cache.length).toBe(8);
  });
});

/** The last six rows' output of a cache that is fed as the one that grew. */
async function lastOf(cache: ReturnType<typeof hipModelCache>, long: AttentionShape): Promise<tf.TypedArray> {
  let last: tf.Tensor4D | undefined;
  for (const count of [250, 1, 6]) {
    last?.dispose();
    last = tf.tidy(() => {
      const of = { ...long, queries: count, keys: count };
      const [q, k, v] = tensorsOf(randomInputs(of, 1), of);
      const held = cache.append(0, k, v);
      return cache.attention(q, held.k, held.v, context(0));
    });
  }
  const values = await last!.data();
  last!.dispose();
  return values;
}
