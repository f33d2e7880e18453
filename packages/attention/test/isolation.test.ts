// A key that a row may not see does not reach it: NaN or infinity in k or v at a token leaves every row before it bit for bit.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { searchBlockMask, type AttentionShape } from '@hip/mask-search';
import {
  denseAttention,
  denseModelAttention,
  hipAttention,
  hipModelAttention,
  hipModelCache,
  KvCache,
  maskedAttention,
  prepareAttention,
  type ModelAttention,
  type PreparedAttention,
} from '../src/index.ts';
import { BACKENDS, randomInputs, SMALL, tensorsOf, useBackend, type Inputs } from './helpers.ts';

const SHAPE: AttentionShape = { batch: 1, queries: 150, keys: 150, heads: 2, kvHeads: 1, headDim: 16 };
const BAD = [NaN, Infinity, -Infinity];
/** A block of rows searches together: with a window as long as it and a chunk, no chunk of its candidates reaches into its own rows. */
const CONFIG = { ...SMALL, blockQ: 16, window: 32 };

type Run = (inputs: Inputs) => Promise<Float32Array>;

const whole =
  (call: (q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D) => tf.Tensor4D): Run =>
  async (inputs) => {
    const out = tf.tidy(() => call(...tensorsOf(inputs, SHAPE)));
    const values = (await out.data()) as Float32Array;
    out.dispose();
    return values;
  };

/** The first rows at once, then chunks, then one by one. */
const overCache =
  (
    start: () => { cache: KvCache | ReturnType<typeof hipModelCache>; attention: ModelAttention },
    chunks: readonly number[],
  ): Run =>
  async (inputs) => {
    const { cache, attention } = start();
    const rows: Float32Array[] = [];
    const all = tensorsOf(inputs, SHAPE);
    let at = 0;
    for (const count of chunks) {
      const out = tf.tidy(() => {
        const [q, k, v] = all.map((t) =>
          tf.slice4d(t, [0, at, 0, 0], [1, count, t.shape[2], t.shape[3]]),
        ) as unknown as typeof all;
        const held = cache.append(0, k, v);
        return attention(q, held.k, held.v, { layer: 0, causal: true, scale: 0.25, cache });
      });
      rows.push((await out.data()) as Float32Array);
      out.dispose();
      at += count;
    }
    tf.dispose([...all]);
    cache.dispose();
    const values = new Float32Array(SHAPE.queries * 32);
    let to = 0;
    for (const part of rows) {
      values.set(part, to);
      to += part.length;
    }
    return values;
  };

const mask = (): ReturnType<typeof searchBlockMask> => {
  const { q, k } = randomInputs(SHAPE, 4);
  return searchBlockMask(q, k, SHAPE, CONFIG);
};
const model = { config: { ...CONFIG, denseLayers: 0, refreshInterval: 3 }, dense: 'never' } as const;
const CHUNKS = [80, 32, ...Array.from({ length: 38 }, () => 1)];

const PATHS: Record<string, Run> = {
  dense: whole((q, k, v) => denseAttention(q, k, v)),
  'HiP, stages': whole((q, k, v) => hipAttention(q, k, v, { config: CONFIG, dense: 'never' })),
  'HiP, tree': whole((q, k, v) => hipAttention(q, k, v, { config: { ...CONFIG, stages: undefined }, dense: 'never' })),
  'HiP that chooses dense': whole((q, k, v) => hipAttention(q, k, v, { config: CONFIG })),
  'over a mask': whole((q, k, v) => maskedAttention(q, k, v, mask())),
  'sliding window': whole((q, k, v) =>
    denseModelAttention()(q, k, v, { layer: 0, causal: true, scale: 0.25, window: 20 }),
  ),
  'decode over a KvCache': overCache(() => ({ cache: new KvCache(), attention: hipModelAttention(model) }), CHUNKS),
  'decode, dense, over a KvCache': overCache(
    () => ({ cache: new KvCache(), attention: denseModelAttention() }),
    CHUNKS,
  ),
  'decode over a hipModelCache': overCache(() => ownCache({}), CHUNKS),
  'decode over a hipModelCache, float16': overCache(() => ownCache({ type: 'f16' }), CHUNKS),
  'decode, dense, over a hipModelCache': overCache(() => ownCache({ dense: 'always' }), CHUNKS),
};

function ownCache(more: Parameters<typeof hipModelCache>[0]): {
  cache: ReturnType<typeof hipModelCache>;
  attention: ModelAttention;
} {
  const cache = hipModelCache({ ...model, ...more });
  return { cache, attention: cache.attention };
}

const spoiled = fc.record({
  token: fc.integer({ min: 1, max: SHAPE.keys - 1 }),
  feature: fc.nat(SHAPE.headDim - 1),
  value: fc.constantFrom(...BAD),
  of: fc.constantFrom('k', 'v'),
});

async function leavesEarlierRows(run: Run, runs: number): Promise<void> {
  const inputs = randomInputs(SHAPE, 4);
  const clean = await run(inputs);
  await fc.assert(
    fc.asyncProperty(spoiled, async ({ token, feature, value, of }) => {
      const array = inputs[of].slice();
      array[token * SHAPE.headDim + feature] = value;
      const out = await run({ ...inputs, [of]: array });
      expect(out.subarray(0, token * 32)).toEqual(clean.subarray(0, token * 32));
      // A row that sees it says so.
      expect(of === 'k' || !Number.isFinite(out[token * 32 + feature])).toBe(true);
    }),
    {
      numRuns: runs,
      examples: BAD.flatMap((value) => [
        [{ token: 1, feature: 0, value, of: 'v' }],
        [{ token: 70, feature: 3, value, of: 'k' }],
      ]),
    },
  );
}

describe.each(BACKENDS)('isolation on %s', (backend) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    prepared = await useBackend(backend);
  });
  afterAll(() => prepared.close());

  it.each(Object.entries(PATHS))('rows before a bad key are as they were: %s', async (_, run) => {
    await expect(leavesEarlierRows(run, 14)).resolves.toBeUndefined();
  });

  it('what was cut off or belongs to another cache does not reach a row', async () => {
    const inputs = randomInputs(SHAPE, 4);
    const bad = { ...inputs, k: inputs.k.map(() => NaN), v: inputs.v.map(() => NaN) };
    for (const type of ['f32', 'f16'] as const) {
      const [cache, clean, other] = [{}, {}, {}].map(() => hipModelCache({ ...model, type })) as [
        ReturnType<typeof hipModelCache>,
        ReturnType<typeof hipModelCache>,
        ReturnType<typeof hipModelCache>,
      ];
      const go = (to: typeof cache, from: Inputs, tokens: number): Float32Array =>
        tf.tidy(() => {
          const at = to.length;
          const [q, k, v] = tensorsOf(from, SHAPE).map((t) =>
            tf.slice4d(t, [0, at, 0, 0], [1, tokens, t.shape[2], t.shape[3]]),
          ) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
          const held = to.append(0, k, v);
          return to
            .attention(q, held.k, held.v, { layer: 0, causal: true, scale: 0.25, cache: to })
            .dataSync() as Float32Array;
        });
      // Pages of a cache that is gone, and rows beyond the end, hold NaN.
      go(other, bad, 140);
      other.dispose();
      go(cache, inputs, 70);
      go(clean, inputs, 70);
      go(cache, bad, 50);
      cache.truncate(70);
      for (const tokens of [1, 1, 30, 1, 1]) expect(go(cache, inputs, tokens)).toEqual(go(clean, inputs, tokens));
      cache.dispose();
      clean.dispose();
    }
  });
});

describeGpu('isolation', (gpu) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    await gpu.adapter();
    await import('@tensorflow/tfjs-backend-webgpu');
    await tf.setBackend('webgpu');
    prepared = await prepareAttention();
  });
  afterAll(() => prepared.close());

  it.each(['dense', 'HiP, stages', 'over a mask'])('rows before a bad key are as they were: %s', async (path) => {
    await expect(leavesEarlierRows(PATHS[path]!, 3)).resolves.toBeUndefined();
  });
});
