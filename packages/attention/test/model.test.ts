import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import {
  attendedKeys,
  denseAttention as denseOracle,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
} from '@hip/mask-search';
import {
  denseModelAttention,
  hipModelAttention,
  hipModelCache,
  KvCache,
  type LayerContext,
  type ModelAttention,
  type PreparedAttention,
} from '../src/index.ts';
import { randomInputs, SMALL, tensorsOf, TOLERANCE, useBackend } from './helpers.ts';

let prepared: PreparedAttention;
beforeAll(async () => {
  prepared = await useBackend('cpu');
});
afterAll(() => prepared.close());

const context = (layer: number, more: Partial<LayerContext> = {}): LayerContext => ({
  layer,
  causal: true,
  scale: 0.25,
  ...more,
});
const T = 200;
const shape: AttentionShape = { batch: 1, queries: T, keys: T, heads: 4, kvHeads: 2, headDim: 8 };
const inputs = randomInputs(shape, 5);

/** Output rows [from, T) of one layer: the first `from` tokens as one prefill, then each token as a decode step over a cache. */
function decode(attend: ModelAttention, from: number, layer = 0): Float32Array {
  using cache = new KvCache();
  const rows: number[] = [];
  const cut = (t: tf.Tensor4D, start: number, count: number): tf.Tensor4D =>
    tf.slice4d(t, [0, start, 0, 0], [1, count, t.shape[2], t.shape[3]]);
  tf.tidy(() => {
    const [q, k, v] = tensorsOf(inputs, shape);
    const first = cache.append(layer, cut(k, 0, from), cut(v, 0, from));
    attend(cut(q, 0, from), first.k, first.v, context(layer));
    for (let row = from; row < T; row++) {
      const all = cache.append(layer, cut(k, row, 1), cut(v, row, 1));
      rows.push(...attend(cut(q, row, 1), all.k, all.v, context(layer)).dataSync());
    }
  });
  return Float32Array.from(rows);
}

function prefill(attend: ModelAttention, from: number, layer = 0): Float32Array {
  return tf.tidy(
    () =>
      attend(...tensorsOf(inputs, shape), context(layer))
        .dataSync()
        .slice(from * 32) as Float32Array,
  );
}

describe('decode equals prefill', () => {
  it('for dense attention', () => {
    expect(decode(denseModelAttention(), 150)).toBeAllclose(prefill(denseModelAttention(), 150), TOLERANCE);
  });

  it('for HiP with a mask per row, searched at every step, wherever the prefill ends', () => {
    const config = { ...SMALL, blockQ: 1, refreshInterval: 1 };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: T - 2 }), (from) => {
        const attend = () => hipModelAttention({ config, dense: 'never' });
        expect(decode(attend(), from)).toBeAllclose(prefill(attend(), from), TOLERANCE);
      }),
      { numRuns: 8 },
    );
  });

  it('for HiP with any refresh interval where every key fits the budget', () => {
    const config = { ...SMALL, k: T, stages: undefined, refreshInterval: 7 };
    const expected = denseOracle(inputs.q, inputs.k, inputs.v, shape, { scale: 0.25 }).slice(100 * 32);
    expect(decode(hipModelAttention({ config, dense: 'never' }), 100)).toBeAllclose(expected, TOLERANCE);
  });
});

describe('hipModelAttention', () => {
  it('searches once per refresh interval, and keeps the keys of that search and all newer ones meanwhile', () => {
    const masks: BlockMask[] = [];
    const config = { ...SMALL, refreshInterval: 5 };
    const reused = decode(hipModelAttention({ config, dense: 'never', onMask: (mask) => masks.push(mask) }), 150);
    // One for the prefill, then 50 steps in runs of 5.
    expect(masks.map(({ keys }) => keys)).toEqual([150, ...Array.from({ length: 10 }, (_, i) => 151 + 5 * i)]);
    const expected = new Float32Array(50 * 32);
    const decodeShape = (keys: number): AttentionShape => ({ ...shape, queries: 1, keys });
    for (let step = 0; step < 50; step++) {
      const mask = masks[1 + Math.floor(step / 5)]!;
      for (let head = 0; head < 4; head++) {
        const keys = [...attendedKeys(mask, decodeShape(mask.keys), 0, head, 0)];
        for (let key = mask.keys; key <= 150 + step; key++) keys.push(key);
        expected.set(attendTo(keys, 150 + step, head), step * 32 + head * 8);
      }
    }
    expect(reused).toBeAllclose(expected, TOLERANCE);
  });

  it('searches by all channels where the model does not rotate half against half, with tensors and in place', () => {
    const config = (dims: 'all' | 'slow-half') => ({
      k: 16,
      blockK: 2,
      blockQ: 16,
      window: 16,
      sink: 8,
      denseLayers: 0,
      stages: [{ chunk: 2, keep: 16, score: 'mass', dims }] as const,
    });
    const found = (dims: 'all' | 'slow-half', rotation: LayerContext['rotation']): BlockMask[] => {
      const masks: BlockMask[] = [];
      const options = {
        config: config(dims),
        dense: 'never',
        onMask: (mask: BlockMask) => void masks.push(mask),
      } as const;
      const more = rotation ? { rotation } : {};
      tf.tidy(() => {
        const [q, k, v] = tensorsOf(inputs, shape);
        hipModelAttention(options)(q, k, v, context(0, more));
        using cache = hipModelCache(options);
        const held = cache.append(0, k, v);
        cache.attention(q, held.k, held.v, context(0, more));
      });
      expect(masks).toHaveLength(2);
      expect(masks[0]).toEqual(masks[1]);
      return masks;
    };
    expect(found('slow-half', 'other')).toEqual(found('all', 'half-split'));
    expect(found('slow-half', undefined)).toEqual(found('slow-half', 'half-split'));
    expect(found('slow-half', 'other')).not.toEqual(found('slow-half', 'half-split'));
  });

  it('runs the first layers dense, and others with their own k', () => {
    const layers: [number, number][] = [];
    const attend = hipModelAttention({
      config: { ...SMALL, k: 64, stages: undefined, denseLayers: 2 },
      layerK: { 3: 32 },
      dense: 'never',
      onMask: (mask, layer) => layers.push([layer, mask.capacity]),
    });
    const dense = prefill(denseModelAttention(), 0);
    expect(prefill(attend, 0, 0)).toEqual(dense);
    expect(prefill(attend, 0, 1)).toEqual(dense);
    expect(prefill(attend, 0, 2)).not.toEqual(dense);
    prefill(attend, 0, 3);
    expect(layers).toEqual([
      [2, 8],
      [3, 4],
    ]);
  });

  it('takes k per layer from the configuration and from layerK, with stages too, and the shortest refresh', () => {
    const found: [number, number][] = [];
    const [bound, exact] = SMALL.stages;
    const attend = hipModelAttention({
      config: {
        ...SMALL,
        kPerLayer: [64, 16],
        stages: [
          { ...bound, refresh: 4 },
          { ...exact, refresh: 2 },
        ],
      },
      layerK: { 1: 8 },
      dense: 'never',
      onMask: ({ capacity }, layer) => found.push([layer, capacity]),
    });
    for (const layer of [0, 1, 2]) prefill(attend, 0, layer);
    expect(found).toEqual([
      [0, 8],
      [1, 1],
      [2, 4],
    ]);
    found.length = 0;
    decode(attend, 190);
    // One for the prefill, then 10 steps in runs of 2.
    expect(found).toHaveLength(6);
  });

  it('does in each layer what a profile says, and makes a dense layer sparse where the text is long', () => {
    const profile = JSON.parse('[{"dense": true}, {"k": 16}, {}, {"dense": true}]') as HipConfig['layers'];
    const found: (readonly [layer: number, keys: number, capacity: number])[] = [];
    const options = {
      config: {
        ...SMALL,
        stages: undefined,
        k: 32,
        kPerLayer: [8, 8, 8],
        layers: profile,
        denseTokens: 150,
        kDense: 64,
      },
      layerK: { 4: 24 },
      dense: 'never',
      onMask: ({ keys, capacity }: BlockMask, layer: number) => found.push([layer, keys, capacity]),
    } as const;
    const plain = new KvCache();
    const own = hipModelCache(options);
    for (const [cache, attend] of [
      [plain, hipModelAttention(options)],
      [own, own.attention],
    ] as const) {
      found.length = 0;
      for (const [from, to] of [
        [0, 150],
        [150, 160],
      ] as const)
        for (const layer of [0, 1, 2, 3, 4])
          tf.tidy(() => {
            const [q, k, v] = tensorsOf(inputs, shape).map((t) =>
              tf.slice4d(t, [0, from, 0, 0], [1, to - from, t.shape[2], t.shape[3]]),
            ) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
            const held = cache.append(layer, k, v);
            attend(q, held.k, held.v, context(layer));
          });
      expect(found).toEqual([
        [1, 150, 2],
        [2, 150, 1],
        [4, 150, 3],
        [0, 160, 8],
        [1, 160, 2],
        [2, 160, 1],
        [3, 160, 8],
        [4, 160, 3],
      ]);
      cache.dispose();
    }
  });

  it('starts a new search when the sequence does not go on', () => {
    const masks: number[] = [];
    const attend = hipModelAttention({ config: SMALL, dense: 'never', onMask: ({ keys }) => masks.push(keys) });
    decode(attend, 190);
    const before = masks.length;
    decode(attend, 198);
    expect(masks.slice(before)).toEqual([198, 199]);
  });

  it('attends to exactly the window in layers that slide', () => {
    const window = 24;
    const expected = new Float32Array(T * 32);
    for (let row = 0; row < T; row++) {
      const keys = Array.from({ length: Math.min(window, row + 1) }, (_, i) => row - i);
      for (let head = 0; head < 4; head++) expected.set(attendTo(keys, row, head), row * 32 + head * 8);
    }
    for (const attend of [denseModelAttention(), hipModelAttention({ config: SMALL, dense: 'never' })]) {
      const out = tf.tidy(() => attend(...tensorsOf(inputs, shape), context(0, { window })).dataSync() as Float32Array);
      expect(out).toBeAllclose(expected, TOLERANCE);
    }
  });

  it('refuses a window that is none, or that slides over a layer without causality', () => {
    for (const attend of [denseModelAttention(), hipModelAttention({ config: SMALL })]) {
      const call = (more: Partial<LayerContext>) => () =>
        tf.tidy(() => void attend(...tensorsOf(inputs, shape), context(2, more)));
      for (const window of [0, NaN, 2.5])
        expect(call({ window })).toThrow(expect.objectContaining({ code: 'invalid-config' }));
      expect(call({ window: 24, causal: false })).toThrow(expect.objectContaining({ code: 'unsupported' }));
    }
  });

  it('refuses a padding mask', () => {
    for (const attend of [denseModelAttention(), hipModelAttention({ config: SMALL })]) {
      expect(() =>
        tf.tidy(() => void attend(...tensorsOf(inputs, shape), context(2, { mask: tf.ones([1, T]) }))),
      ).toThrow(expect.objectContaining({ code: 'unsupported', details: { layer: 2 } }));
    }
  });

  it('refuses a configuration at once', () => {
    expect(() => hipModelAttention({ config: { refreshInterval: 0 } })).toThrow(
      'refreshInterval is 0: give an integer >= 1',
    );
    expect(() => hipModelAttention({ layerK: { 3: -1 } })).toThrow('layerK[3] is -1: give an integer >= 1');
    expect(() => hipModelAttention({ config: { layers: [{ k: 0 }] } })).toThrow('layers[0].k is 0');
    expect(() => hipModelAttention({ dense: 'x' as 'auto' })).toThrow('dense is x: give one of auto, never, always');
  });
});

/** softmax over some keys of one row, in float64. */
function attendTo(keys: readonly number[], row: number, head: number): number[] {
  const at = (array: Float32Array, index: number, heads: number, h: number): number[] =>
    Array.from(array.subarray((index * heads + h) * 8, (index * heads + h) * 8 + 8));
  const kv = head >> 1;
  const query = at(inputs.q, row, 4, head);
  const weights = keys.map((key) =>
    Math.exp(0.25 * at(inputs.k, key, 2, kv).reduce((sum, value, i) => sum + value * query[i]!, 0)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return query.map((_, i) =>
    keys.reduce((sum, key, n) => sum + (weights[n]! / total) * at(inputs.v, key, 2, kv)[i]!, 0),
  );
}
