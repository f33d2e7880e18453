// calibrate against curves by brute force in float64, and what its choices are measured by.
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '@instatune/supernet';
import { maskStatistics, DEFAULT_CONFIG, voteStages, type BlockMask, type HipConfig } from '@hip/mask-search';
import {
  calibrate,
  checkProfile,
  denseModelAttention,
  KvCache,
  measureFidelity,
  profileConfig,
  type CalibrateOptions,
  type ModelAttention,
  type PreparedAttention,
} from '../../src/index.ts';
import { useBackend } from '../helpers.ts';
import { referenceRun } from './reference.ts';
import { HEADS, KV_HEADS, LAYERS, SIZE, textOf, tinyModel } from './tiny-model.ts';

const TOKENS = 192;
const [BLOCK_Q, BLOCK_K, WINDOW, SINK] = [16, 2, 12, 3];
const CONFIG = {
  k: 24,
  blockQ: BLOCK_Q,
  blockK: BLOCK_K,
  window: WINDOW,
  sink: SINK,
  denseLayers: 0,
  remainder: { block: 8, most: 4 },
  stages: [{ chunk: 2, keep: 24, score: 'mass' }],
} satisfies Partial<HipConfig>;
const OPTIONS = { config: CONFIG, chunkTokens: 32, rowBlocks: 3, run: referenceRun, name: 'tiny' } as const;
const text = textOf(TOKENS);
/** First rows of 3 of the 6 blocks of the second half, evenly. */
const STARTS = [112, 144, 176];

/** Curves [layer][head] of the tiny model, from all probabilities at once. */
function bruteForce(): number[][][] {
  const curves = Array.from({ length: LAYERS }, () => Array.from({ length: HEADS }, (): number[] => []));
  const dense = denseModelAttention();
  const recording: ModelAttention = (q, k, v, context) => {
    const [qs, ks] = [q.dataSync(), k.dataSync()];
    for (let head = 0; head < HEADS; head++) {
      const kv = Math.floor((head * KV_HEADS) / HEADS);
      for (const start of STARTS) {
        const masses: number[] = Array.from({ length: Math.ceil((TOKENS - SINK) / BLOCK_K) }, () => 0);
        for (let row = start; row < start + BLOCK_Q; row++) {
          const weights = Array.from({ length: row + 1 }, (_, key) => {
            let sum = 0;
            for (let i = 0; i < SIZE; i++)
              sum += qs[(row * HEADS + head) * SIZE + i]! * ks[(key * KV_HEADS + kv) * SIZE + i]!;
            return Math.exp(sum * context.scale);
          });
          const total = weights.reduce((sum, x) => sum + x, 0);
          for (let key = SINK; key < row + 1 - WINDOW; key++)
            masses[Math.floor((key - SINK) / BLOCK_K)]! += weights[key]! / total / BLOCK_Q;
        }
        const curve = curves[context.layer]![head]!;
        for (const [i, mass] of masses.sort((a, b) => b - a).entries())
          curve[i] = (curve[i] ?? 0) + mass / STARTS.length;
      }
    }
    return dense(q, k, v, context);
  };
  tf.tidy(() => {
    using cache = new KvCache();
    const inputIds = tf.tensor2d(text, [1, TOKENS], 'int32');
    tinyModel().forward({ inputIds }, { cache, attention: recording, logits: 'hidden' });
  });
  return curves;
}

describe('calibrate', () => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    prepared = await useBackend('wasm');
  });
  afterAll(() => prepared.close());

  it('finds the curves that all probabilities give, however the text is cut, and leaves no tensor behind', async () => {
    const expected = bruteForce();
    const before = tf.memory().numTensors;
    for (const chunkTokens of [16, 48, 192]) {
      const { layers } = await calibrate(tinyModel(), text, { ...OPTIONS, chunkTokens, remainder: false });
      expect(layers.map(({ layer }) => layer)).toEqual([0, 1]);
      for (const { layer, heads } of layers) {
        for (const [head, { curve, keys, mass }] of heads.entries()) {
          for (const [i, value] of expected[layer]![head]!.entries()) expect(curve[i]).toBeCloseTo(value, 5);
          expect(mass).toBeCloseTo(
            curve.slice(0, keys / BLOCK_K).reduce((sum, x) => sum + x, 0),
            10,
          );
        }
        expect(heads.reduce((sum, { keys }) => sum + keys, 0)).toBe(24 * HEADS);
      }
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it('keeps the layers dense that it is told to, and the remainder where the output is nearer with it', async () => {
    const { profile, layers, tried } = await calibrate(tinyModel(), text, { ...OPTIONS, denseLayers: [0] });
    expect(tried).toEqual([]);
    expect(profile).toMatchObject({
      version: 1,
      model: { name: 'tiny', heads: HEADS },
      text: { tokens: TOKENS, from: 96, rowBlocks: 3 },
      config: { k: 24, blockQ: 16, blockK: 2, window: 12, sink: 3 },
    });
    expect(profile.layers[0]).toEqual({ dense: true });
    expect(layers[0]).toMatchObject({ isDense: true, outputError: undefined });
    const config = profileConfig(profile, CONFIG);
    const off = { ...config, layers: profile.layers.map((layer) => ({ ...layer, remainder: false as const })) };
    const on = { ...config, layers: profile.layers.map(({ dense, kPerHead }) => ({ dense, kPerHead })) };
    const { runs } = await measureFidelity(tinyModel(), text, {
      runs: { on: referenceRun(on), off: referenceRun(off) },
      chunkTokens: 32,
    });
    const [withIt, without] = runs.map((run) => run.layers[1]!);
    expect(layers[1]!.outputError).toEqual({ remainder: withIt!.outputError, none: without!.outputError });
    expect(profile.layers[1]!.remainder).toBe(without!.outputError < withIt!.outputError ? false : undefined);
    expect(withIt!.pseudoKeysPerRow).toBeGreaterThan(1);
    expect([runs[0]!.pseudoKeysPerRow, runs[1]!.pseudoKeysPerRow]).toEqual([withIt!.pseudoKeysPerRow, 0]);
  });

  it('turns a remainder off that harms', async () => {
    // Every key alone: what stands for the rest is noise beside it.
    const harmful: CalibrateOptions['run'] = (config) => (onMask) => (q, k, v, context) => {
      const out = referenceRun(config)(onMask)(q, k, v, context);
      const own = config.layers![context.layer]!;
      return own.remainder === false || context.layer === 0 ? out : tf.mul(out, 2);
    };
    const { profile, layers } = await calibrate(tinyModel(), text, { ...OPTIONS, run: harmful });
    expect(layers[1]!.outputError!.remainder).toBeGreaterThan(layers[1]!.outputError!.none);
    expect(profile.layers[1]).toMatchObject({ remainder: false });
  });

  it('counts pseudo-keys as masks do', async () => {
    const masks: BlockMask[] = [];
    const run = referenceRun({ ...CONFIG, denseLayers: 1 });
    const { runs } = await measureFidelity(tinyModel(), text, {
      runs: { tiny: (onMask) => run((mask, layer) => (masks.push(mask), onMask(mask, layer))) },
      chunkTokens: 96,
      layers: true,
    });
    // Both chunks' run, and once more on the dense run's tensors for the second.
    const counts = masks
      .filter(({ keys }) => keys === TOKENS)
      .map((mask) => maskStatistics(mask).pseudoKeysPerRow.mean);
    expect(counts).toContain(runs[0]!.pseudoKeysPerRow);
    expect(runs[0]!.pseudoKeysPerRow).toBeGreaterThan(1);
  });

  it('meets a bound with as little as it can, and says what cannot be met', async () => {
    const search = (more: CalibrateOptions) => calibrate(tinyModel(), text, { ...OPTIONS, remainder: false, ...more });
    const far = await search({ maxKl: 5 });
    const [, ...others] = far.tried.toSorted((a, b) => a.k - b.k);
    expect(others.length).toBeGreaterThan(1);
    const { k } = far.profile.config;
    for (const run of far.tried) expect(run.kl <= 5).toBe(run.k >= k);
    expect(far.profile.measured!.kl).toBeLessThanOrEqual(5);
    expect(far.profile.measured!.kl).toBe(far.tried.find((run) => run.k === k)!.kl);
    const few = await search({ keys: 60 });
    expect(few.profile.measured!.keysPerRow).toBeLessThanOrEqual(60);
    for (const run of few.tried) expect(run.keysPerRow <= 60).toBe(run.k <= few.profile.config.k);
    await expect(search({ keys: 10 })).rejects.toMatchObject({
      code: 'invalid-config',
      message: expect.stringMatching(/^keys is 10: with k = 16 it is /) as string,
    });
    const spoilt: CalibrateOptions['run'] = (config) => (onMask) => (q, k2, v, context) =>
      tf.mul(referenceRun(config)(onMask)(q, k2, v, context), 0.5);
    await expect(search({ maxKl: 0.01, run: spoilt })).rejects.toMatchObject({ code: 'invalid-config' });
  });

  it('runs on the kernels as on the reference', async () => {
    const own = { ...OPTIONS, run: undefined };
    const [found, expected] = [
      await calibrate(tinyModel(), text, own),
      await calibrate(tinyModel(), text, { ...own, run: referenceRun }),
    ];
    expect(found.profile).toEqual(expected.profile);
    for (const [i, { outputError }] of expected.layers.entries()) {
      // Kernels may round the keys that rows vote on: masks differ where votes nearly tie.
      for (const name of ['remainder', 'none'] as const) {
        const share = found.layers[i]!.outputError![name] / outputError![name];
        expect(Math.abs(share - 1)).toBeLessThan(0.1);
      }
    }
  });

  it('refuses what makes no sense, and stops where it is told to', async () => {
    const refused = (more: CalibrateOptions, ids: readonly number[] = text) =>
      calibrate(tinyModel(), ids, { ...OPTIONS, ...more }).catch((error: { message: string }) => error.message);
    expect(await refused({}, [1, 2])).toBe('ids.length is 2: give an integer >= 32');
    expect(await refused({ k: 25 })).toBe('k is 25: give a multiple of blockK = 2');
    expect(await refused({ maxKl: 1, keys: 50 })).toBe('keys is 50: give maxKl or keys, not both');
    expect(await refused({ maxKl: 1, k: 32 })).toBe('k is 32: maxKl searches it: leave one out');
    expect(await refused({ keys: -1 })).toBe('keys is -1: give a number > 0');
    expect(await refused({ chunkTokens: 40 })).toBe('chunkTokens is 40: give a multiple of blockQ = 16');
    expect(await refused({ rowBlocks: 0 })).toBe('rowBlocks is 0: give an integer >= 1');
    expect(await refused({ from: 180 })).toMatch(/^from is 180/);
    expect(await refused({ denseLayers: [-1] })).toMatch(/^denseLayers is -1/);
    expect(await refused({ config: { ...CONFIG, shareHeads: true } })).toMatch(/^shareHeads/);
    const controller = new AbortController();
    const before = tf.memory().numTensors;
    const onProgress = ({ tokens }: { tokens: number }) => {
      if (tokens > 100) controller.abort();
    };
    expect(await refused({ signal: controller.signal, onProgress })).toBe('calibrate was aborted');
    expect(tf.memory().numTensors).toBe(before);
  });

  it('knows the model that a profile is of', async () => {
    const { profile } = await calibrate(tinyModel(), text, { ...OPTIONS, remainder: false });
    await expect(checkProfile(profile, tinyModel())).resolves.toBeUndefined();
    const other = { ...profile, model: { ...profile.model, fingerprint: profile.model.fingerprint.toReversed() } };
    await expect(checkProfile(other, tinyModel())).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/^the profile is of tiny, and this model computes \[/) as string,
    });
  });

  const missing = missingShared('models/books-lm-6m', 'data/books');
  it.skipIf(missing)(`brings a pretrained model nearer than equal budgets do${missing}`, async () => {
    const { model, tokenizer } = await loadCheckpoint(sharedPath('models', 'books-lm-6m')!);
    const book = readFileSync(sharedPath('data', 'books', 'herman-melville_moby-dick.txt')!, 'utf8');
    const encode = (from: number) =>
      tokenizer!.encode(book.slice(from, from + 6000), { addSpecialTokens: false }).slice(0, 1024);
    const config = { ...DEFAULT_CONFIG, k: 64, stages: voteStages(64), remainder: undefined, denseLayers: 1 };
    const { profile } = await calibrate(model, encode(30_000), { config, chunkTokens: 512, rowBlocks: 8 });
    const run = (of: Partial<HipConfig>) => ({ config: of, dense: 'never' }) as const;
    const { runs } = await measureFidelity(model, encode(300_000), {
      runs: { equal: run(config), budgets: run(profileConfig(profile, config)) },
      chunkTokens: 512,
    });
    const [equal, budgets] = runs;
    expect(profile.layers).toHaveLength(model.config.layers);
    expect(budgets!.kl).toBeLessThan(0.97 * equal!.kl);
    expect(budgets!.keysPerRow).toBeLessThan(1.02 * equal!.keysPerRow);
    model.dispose();
  });
});
