// Text that models write: the cache of constant shapes, and the windows.
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { loadCheckpoint, textWindows, type ElasticModel } from '@instatune/supernet';
import { startTfjs } from '../src/instatune/backend.ts';
import { DecodeCache } from '../src/instatune/decode-cache.ts';
import { withSampledWindows } from '../src/instatune/sampled-text.ts';

let model: ElasticModel;
async function open(backend: 'wasm' | 'webgpu'): Promise<void> {
  await startTfjs(backend);
  ({ model } = await loadCheckpoint(join(import.meta.dirname, '../../apps/demo/model')));
  // Tables of positions are made at the first use, and stay.
  tf.tidy(() => model.forward({ inputIds: tokensBetween(0, 9) }).logits).dispose();
}

const TOKENS = [
  [17, 250, 33, 900, 41, 8, 77, 120, 15],
  [300, 12, 12, 700, 5, 61, 999, 44, 230],
];
const tokensBetween = (from: number, to: number) =>
  tf.tensor2d(
    TOKENS.map((row) => row.slice(from, to)),
    [TOKENS.length, to - from],
    'int32',
  );

function decodes(shapes: readonly (readonly [number, number])[]): void {
  it.each(shapes)('says what the whole text says, with a body of %i and a tail of %i tokens', async (body, tail) => {
    const before = tf.memory().numTensors;
    const cache = new DecodeCache({ body, tail });
    for (const [from, to] of [
      [0, 4],
      [4, 5],
      [5, 7],
      [7, 9],
    ] as const) {
      const { cached, whole } = tf.tidy(() => {
        const last = { logits: 'last' } as const;
        return {
          cached: model.forward({ inputIds: tokensBetween(from, to) }, { cache, attention: cache.attention, ...last })
            .logits,
          whole: model.forward({ inputIds: tokensBetween(0, to) }, last).logits,
        };
      });
      expect(await cached.data(), `tokens ${from}…${to}`).toBeAllclose(await whole.data(), { atol: 1e-3, rtol: 1e-3 });
      expect(cache.length).toBe(to);
      tf.dispose([cached, whole]);
    }
    cache.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
}

describe('DecodeCache', () => {
  beforeAll(() => open('wasm'));
  afterAll(() => model.dispose());
  decodes([
    [9, 4],
    [7, 4],
    [8, 6],
    [12, 9],
  ]);
});

describeGpu('DecodeCache', () => {
  beforeAll(() => open('webgpu'));
  afterAll(() => model.dispose());
  decodes([[7, 4]]);
});

describe('withSampledWindows', () => {
  beforeAll(() => open('wasm'));
  afterAll(() => model.dispose());

  const train = textWindows(
    Int32Array.from({ length: 61 }, (_, i) => (i * 37) % 1000),
    { length: 12 },
  );
  const options = { windows: 5, prompt: 4, batch: 3, seed: 3, signal: new AbortController().signal };
  const rowsOf = async (data: { length: number; batch: typeof train.batch }) => {
    const { inputIds, labels } = await data.batch(Array.from({ length: data.length }, (_, i) => i));
    return { ids: [...inputIds!.data], labels: [...labels] };
  };

  it('keeps the windows, adds those that start as one of them, the same ones for a seed', async () => {
    const all = await withSampledWindows([model], train, options);
    expect(all.length).toBe(train.length + 5);
    const [own, both] = [await rowsOf(train), await rowsOf(all)];
    expect(both.ids.slice(0, own.ids.length)).toEqual(own.ids);
    expect(both.labels.slice(0, own.labels.length)).toEqual(own.labels);
    const prompts = new Set(
      Array.from({ length: train.length }, (_, row) => own.ids.slice(12 * row, 12 * row + 4).join()),
    );
    for (let row = train.length; row < all.length; row++) {
      const ids = both.ids.slice(12 * row, 12 * row + 12);
      expect(prompts).toContain(ids.slice(0, 4).join());
      // Each label is the next token.
      expect(both.labels.slice(12 * row, 12 * row + 11)).toEqual(ids.slice(1));
    }
    expect(await rowsOf(await withSampledWindows([model], train, options))).toEqual(both);
    expect(await rowsOf(await withSampledWindows([model], train, { ...options, seed: 4 }))).not.toEqual(both);
  });

  it('two equal models say what one says', async () => {
    const one = await rowsOf(await withSampledWindows([model], train, options));
    expect(await rowsOf(await withSampledWindows([model, model], train, options))).toEqual(one);
  });
});
