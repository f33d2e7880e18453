// measureFidelity against whole distributions in float64, and against the metrics of @hip/mask-search.
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeGpu, missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '@instatune/supernet';
import { massRecall, maskStatistics, outputError, streamingMask, type BlockMask } from '@hip/mask-search';
import {
  denseModelAttention,
  hipModelAttention,
  KvCache,
  maskedAttention,
  measureFidelity,
  prepareAttention,
  type AttentionFactory,
  type FidelityOptions,
  type MeasuredModel,
  type ModelAttention,
  type PreparedAttention,
} from '../../src/index.ts';
import { SMALL, useBackend } from '../helpers.ts';
import { HEADS, KV_HEADS, LAYERS, SIZE, textOf, tinyModel } from './tiny-model.ts';

const TOKENS = 192;
const FROM = 96;
const CHUNK = 32;
const HIP = { config: { ...SMALL, k: 16, stages: undefined, denseLayers: 1 }, dense: 'never' } as const;
const OPTIONS = { runs: { hip: HIP }, from: FROM, chunkTokens: CHUNK, massRows: 1e6 } as const;
const text = textOf(TOKENS);

/** Logits of the whole text as numbers, under an attention function. */
function logitsOf(attention: ModelAttention, ids = text, chunks = TOKENS / CHUNK): number[][] {
  const model = tinyModel();
  using cache = new KvCache();
  return Array.from({ length: chunks }, (_, i) =>
    tf.tidy(() => {
      const part = ids.slice(i * CHUNK, (i + 1) * CHUNK);
      const inputIds = tf.tensor2d(part, [1, part.length], 'int32');
      const { logits } = model.forward({ inputIds }, { cache, attention, logits: 'hidden' });
      return model.languageLogits(tf.reshape(logits, [part.length, -1])).arraySync();
    }),
  ).flat();
}

const logSoftmax = (row: readonly number[]): number[] => {
  const max = Math.max(...row);
  const sum = Math.log(row.reduce((total, x) => total + Math.exp(x - max), 0)) + max;
  return row.map((x) => x - sum);
};

describe('measureFidelity', () => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    prepared = await useBackend('wasm');
  });
  afterAll(() => prepared.close());

  it('says what whole distributions say, a few rows at a time, and leaves no tensor behind', async () => {
    const [dense, other] = [denseModelAttention(), hipModelAttention(HIP)].map((attention) =>
      logitsOf(attention).map(logSoftmax),
    ) as [number[][], number[][]];
    const rows = Array.from({ length: TOKENS - 1 - FROM }, (_, i) => FROM + i);
    const mean = (of: (row: number) => number): number => rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
    const kl = mean((row) => dense[row]!.reduce((sum, p, i) => sum + Math.exp(p) * (p - other[row]![i]!), 0));
    const lossOf = (table: number[][]) => mean((row) => -table[row]![text[row + 1]!]!);
    const best = (row: readonly number[]) => row.indexOf(Math.max(...row));

    const before = tf.memory().numTensors;
    const model = tinyModel();
    const found = await measureFidelity(model, text, { ...OPTIONS, logitRows: 5 });
    expect(tf.memory().numTensors).toBe(before);
    expect(Math.max(...model.logitRows)).toBe(5);
    expect(found).toMatchObject({ tokens: TOKENS, from: FROM, rows: TOKENS - 1 - FROM });
    const [run] = found.runs;
    expect(run!.kl).toBeGreaterThan(0.1);
    expect(run!.kl / 1000).toBeCloseTo(kl, 5);
    expect(run!.klError).toBeGreaterThan(0);
    expect(found.perplexity).toBeCloseTo(Math.exp(lossOf(dense)), 4);
    expect(run!.perplexity).toBeCloseTo(Math.exp(lossOf(other)), 4);
    expect(run!.perplexityRatio).toBeCloseTo(Math.exp(lossOf(other) - lossOf(dense)), 5);
    expect(run!.equalArgmax).toBeCloseTo(
      mean((row) => Number(best(dense[row]!) === best(other[row]!))),
      10,
    );
  });

  it('measures each layer and head on what the dense run gives it, as the metrics of @hip/mask-search do', async () => {
    // The same by hand: every call of the dense run that reaches beyond `from`.
    const calls: {
      q: Float32Array;
      k: Float32Array;
      v: Float32Array;
      out: number[];
      exact: number[];
      mask: BlockMask;
    }[] = [];
    const masks: BlockMask[] = [];
    const hip = hipModelAttention({ ...HIP, onMask: (mask) => masks.push(mask) });
    const dense = denseModelAttention();
    logitsOf((q, k, v, context) => {
      const exact = dense(q, k, v, context);
      if (context.layer === 1 && k.shape[1] > FROM) {
        const out = hip(q, k, v, { ...context, cache: masks });
        const array = (t: tf.Tensor) => t.dataSync<'float32'>().slice();
        const all = { q: array(q), k: array(k), v: array(v), out: [...array(out)], exact: [...array(exact)] };
        calls.push({ ...all, mask: masks.at(-1)! });
      }
      return exact;
    });
    const { runs } = await measureFidelity(tinyModel(), text, OPTIONS);
    const [first, second] = runs[0]!.layers;
    expect(first).toMatchObject({ layer: 0, isSparse: false, outputError: 0, massKept: 1 });
    expect(first!.keysPerRow).toBe((FROM + TOKENS + 1) / 2);
    const shapeOf = (keys: number, heads: number, kvHeads: number) => ({
      batch: 1,
      queries: CHUNK,
      keys,
      heads,
      kvHeads,
      headDim: SIZE,
    });
    const ofHead = (array: ArrayLike<number>, head: number, heads: number): Float32Array =>
      Float32Array.from(array).filter((_, at) => Math.floor(at / SIZE) % heads === head);
    expect(second!.heads).toHaveLength(HEADS);
    for (const [head, { outputError: error, massKept }] of second!.heads.entries()) {
      const joined = (of: 'out' | 'exact') =>
        Float32Array.from(calls.flatMap((call) => [...ofHead(call[of], head, HEADS)]));
      expect(error).toBeCloseTo(outputError(joined('out'), joined('exact')), 5);
      const kept = calls.map(({ q, k, mask }) => {
        const cells = mask.counts.length / HEADS;
        const own = {
          ...mask,
          maskHeads: 1,
          counts: mask.counts.slice(head * cells, (head + 1) * cells),
          starts: mask.starts.slice(head * cells * mask.capacity, (head + 1) * cells * mask.capacity),
        };
        const kv = Math.floor((head * KV_HEADS) / HEADS);
        return massRecall(ofHead(q, head, HEADS), ofHead(k, kv, KV_HEADS), shapeOf(mask.keys, 1, 1), own, {
          scale: 0.5,
        });
      });
      expect(massKept).toBeCloseTo(kept.reduce((sum, x) => sum + x, 0) / kept.length, 5);
      expect(massKept).toBeLessThan(0.999);
    }
    const keys = calls.map(({ mask }) => maskStatistics(mask).keysPerRow.mean);
    expect(second!.keysPerRow).toBeCloseTo(keys.reduce((sum, x) => sum + x, 0) / keys.length, 8);
    expect(runs[0]!.keysPerRow).toBe(second!.keysPerRow);
    expect(runs[0]!.keysPerRowAllLayers).toBeCloseTo((first!.keysPerRow + second!.keysPerRow) / 2, 8);
    expect(second!.massKept).toBeCloseTo(second!.heads.reduce((sum, h) => sum + h.massKept, 0) / HEADS, 10);
  });

  it('finds nothing between dense and dense, whichever way it is asked for', async () => {
    const runs = {
      always: { dense: 'always' },
      'a budget of all keys': { config: { ...SMALL, k: 256, stages: undefined, denseLayers: 0 }, dense: 'never' },
      factory: () => denseModelAttention(),
    } satisfies FidelityOptions['runs'];
    const found = await measureFidelity(tinyModel(), text, { ...OPTIONS, runs });
    expect(found.runs.map(({ name }) => name)).toEqual(Object.keys(runs));
    for (const { kl, perplexityRatio, equalArgmax, layers } of found.runs) {
      expect(kl).toBeLessThan(1e-3);
      expect(perplexityRatio).toBeCloseTo(1, 5);
      expect(equalArgmax).toBe(1);
      for (const { outputError: error, massKept, keysPerRow } of layers) {
        expect(error).toBeLessThan(1e-5);
        expect(massKept).toBeCloseTo(1, 5);
        expect(keysPerRow).toBe((FROM + TOKENS + 1) / 2);
      }
    }
  });

  it('takes any attention function, with the masks that it tells of', async () => {
    const streaming: AttentionFactory =
      (onMask) =>
      (q, k, v, { layer, scale }) => {
        const [batch, queries, heads, headDim] = q.shape;
        const shape = { batch, queries, keys: k.shape[1], heads, kvHeads: k.shape[2], headDim };
        const mask = streamingMask(shape, { window: 12, k: 8, sink: 4 });
        onMask(mask, layer);
        return maskedAttention(q, k, v, mask, { scale });
      };
    const { runs } = await measureFidelity(tinyModel(), text, { ...OPTIONS, runs: { streaming, hip: HIP } });
    expect(runs[0]).toMatchObject({ keysPerRow: 24, keysPerRowAllLayers: 24 });
    expect(runs[0]!.layers).toHaveLength(LAYERS);
  });

  it('feeds tokens one at a time from where it is told: a decoder’s distributions, its masks kept', async () => {
    const config = { ...HIP.config, denseLayers: 0, refreshInterval: 4 };
    const searched: number[] = [];
    const onMask = ({ queries, keys }: BlockMask, layer: number) => {
      if (layer === 0 && queries === 1) searched.push(keys);
    };
    const runs = { hip: { ...HIP, config, onMask }, dense: { dense: 'always' } } as const;
    const before = tf.memory().numTensors;
    const found = await measureFidelity(tinyModel(), text, {
      ...OPTIONS,
      from: 170,
      runs,
      decodeFrom: 170,
      layers: false,
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(searched).toEqual([171, 175, 179, 183, 187, 191]);
    expect(found.runs[0]!.kl).toBeGreaterThan(0.1);
    expect(found.runs[0]!.layers).toEqual([]);
    expect(found.runs[1]!.kl).toBeLessThan(1e-3);
    const whole = await measureFidelity(tinyModel(), text, { ...OPTIONS, from: 170, runs });
    expect(found.perplexity).toBeCloseTo(whole.perplexity, 4);
  });

  it('does not depend on how many rows of logits there are at once, nor on who is measured beside', async () => {
    const { runs, perplexity } = await measureFidelity(tinyModel(), text, OPTIONS);
    const other = { k: 8 };
    for (const more of [
      { logitRows: 1 },
      { logitRows: 1000 },
      { runs: { other: { ...HIP, config: { ...HIP.config, ...other } }, hip: HIP } },
    ]) {
      const again = await measureFidelity(tinyModel(), text, { ...OPTIONS, ...more });
      expect(again.perplexity).toBeCloseTo(perplexity, 5);
      const run = again.runs.find(({ name }) => name === 'hip')!;
      expect(run.kl).toBeCloseTo(runs[0]!.kl, 3);
      expect(run.layers).toEqual(runs[0]!.layers);
    }
  });

  it('refuses what makes no sense, stops where it is told to, and names the token that is not finite', async () => {
    const refused = (more: Partial<FidelityOptions>, ids: readonly number[] = text) =>
      measureFidelity(tinyModel(), ids, { ...OPTIONS, ...more }).catch((error: { code: string; message: string }) => [
        error.code,
        error.message,
      ]);
    expect(await refused({}, [1])).toEqual(['invalid-config', 'ids.length is 1: give an integer >= 2']);
    expect(await refused({ runs: {} })).toEqual([
      'invalid-config',
      'runs is empty: name at least one attention to compare',
    ]);
    expect(await refused({ from: 191 })).toEqual(['invalid-config', 'from is 191: give an integer from 0 to 190']);
    for (const bad of [{ chunkTokens: 0 }, { logitRows: 0.5 }, { massRows: -1 }, { decodeFrom: 193 }])
      expect(await refused(bad)).toEqual(['invalid-config', expect.stringContaining(Object.keys(bad)[0]!)]);
    expect(await refused({ runs: { hip: { config: { k: 0 } } } })).toEqual([
      'invalid-config',
      expect.stringMatching(/^k is 0/),
    ]);
    const controller = new AbortController();
    const before = tf.memory().numTensors;
    const onProgress = ({ tokens }: { tokens: number }) => {
      if (tokens === 3 * CHUNK) controller.abort();
    };
    expect(await refused({ signal: controller.signal, onProgress })).toEqual([
      'aborted',
      'measureFidelity was aborted',
    ]);
    const model = tinyModel();
    const overflowing: MeasuredModel = {
      forward: (...all) => model.forward(...all),
      languageLogits: (hidden) => tf.div(model.languageLogits(hidden), 0),
    };
    await expect(measureFidelity(overflowing, text, OPTIONS)).rejects.toMatchObject({
      code: 'non-finite',
      message: expect.stringContaining('of the dense run after token 96 are not finite') as string,
    });
    const flat: MeasuredModel = {
      ...overflowing,
      forward: (...all) => ({ logits: tf.reshape(model.forward(...all).logits, [-1, HEADS * SIZE]) }),
    };
    await expect(measureFidelity(flat, text, OPTIONS)).rejects.toMatchObject({ code: 'invalid-shape' });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('computes the dense logits of a row once, however many attentions are compared with them', async () => {
    const rowsOf = async (runs: FidelityOptions['runs']): Promise<number> => {
      const model = tinyModel();
      await measureFidelity(model, text, { ...OPTIONS, runs, layers: false });
      return model.logitRows.reduce((sum, rows) => sum + rows, 0);
    };
    const rows = TOKENS - 1 - FROM;
    expect(await rowsOf({ hip: HIP })).toBe(2 * rows);
    expect(await rowsOf({ hip: HIP, again: HIP, third: HIP })).toBe(4 * rows);
  });

  const missing = missingShared('models/books-lm-6m', 'data/books');
  it.skipIf(missing)(`measures a pretrained model, nearer with more keys${missing}`, async () => {
    const { model, tokenizer } = await loadCheckpoint(sharedPath('models', 'books-lm-6m')!);
    const book = readFileSync(sharedPath('data', 'books', 'herman-melville_moby-dick.txt')!, 'utf8').slice(
      30_000,
      36_000,
    );
    const ids = tokenizer!.encode(book, { addSpecialTokens: false }).slice(0, 1024);
    const run = (k: number) => ({ config: { k, window: 64, sink: 16, denseLayers: 1 }, dense: 'never' }) as const;
    const found = await measureFidelity(model, ids, { runs: { 64: run(64), 256: run(256) }, chunkTokens: 256 });
    const [few, many] = found.runs;
    expect(found.perplexity).toBeGreaterThan(5);
    expect(found.perplexity).toBeLessThan(200);
    expect(many!.kl).toBeLessThan(0.7 * few!.kl);
    expect(few!.kl).toBeGreaterThan(1);
    expect(few!.keysPerRow).toBeLessThan(150);
    expect(few!.layers).toHaveLength(model.config.layers);
    for (const [layer, { massKept, isSparse }] of many!.layers.entries()) {
      expect(massKept).toBeGreaterThanOrEqual(few!.layers[layer]!.massKept - 1e-6);
      expect(isSparse).toBe(layer > 0);
    }
    model.dispose();
  });
});

describeGpu('measureFidelity', (gpu) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    await gpu.adapter();
    await import('@tensorflow/tfjs-backend-webgpu');
    await tf.setBackend('webgpu');
    prepared = await prepareAttention();
  });
  afterAll(() => prepared.close());

  it('reads masks back, and finds what a CPU finds', async () => {
    const ids = text.slice(0, 128);
    const found = await measureFidelity(tinyModel(), ids, { ...OPTIONS, from: 64 });
    prepared.close();
    using other = await useBackend('wasm');
    const expected = await measureFidelity(tinyModel(), ids, { ...OPTIONS, from: 64 });
    expect(other.backend).toBe('wasm');
    const [run, same] = [found.runs[0]!, expected.runs[0]!];
    expect(run.kl).toBeCloseTo(same.kl, 1);
    expect(run.keysPerRow).toBeCloseTo(same.keysPerRow, 6);
    for (const [layer, { heads, massKept }] of same.layers.entries()) {
      expect(run.layers[layer]!.massKept).toBeCloseTo(massKept, 4);
      for (const [head, { outputError: error }] of heads.entries())
        expect(run.layers[layer]!.heads[head]!.outputError).toBeCloseTo(error, 4);
    }
  });
});
