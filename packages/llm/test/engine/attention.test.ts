// HiP in an engine: where it selects, decoding, forks, cuts and failures give what they give without them; profiles and layers are obeyed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attends, DEFAULT_CONFIG } from '@hip/mask-search';
import { attentionRule } from '../../src/engine/layers.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { resolveOptions } from '../../src/engine/options.ts';
import type { AttentionChoice, Engine } from '../../src/engine/types.ts';
import { openCheckpoint } from '@hip/checkpoints';
import { relativeError, withEngine } from '../helpers/compare.ts';
import { tinyModel } from '../helpers/tiny.ts';

const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => (i * i * 7 + i * seed + seed) % 40);
const HIP = { denseBelow: 1, config: { k: 64, window: 64, sink: 8, denseLayers: 1 } };
const { files } = tinyModel();

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine(files, { threads: 1, contextTokens: 1000, attention: HIP });
});
afterAll(() => engine.close());

describe('HiP in an engine', () => {
  it('reads fewer keys than dense attention and is near it', async () => {
    const ids = text(600);
    const sparse = await engine.createSequence().forward(ids);
    await withEngine(files, { attention: 'dense', contextTokens: 1000 }, async (dense) => {
      const error = relativeError(sparse, await dense.createSequence().forward(ids));
      expect(error).toBeGreaterThan(1e-6);
      expect(error).toBeLessThan(0.25);
    });
  });

  it('decodes the same tokens again after a cut, in a fork, and after a step that was aborted', async () => {
    const sequence = engine.createSequence();
    await sequence.forward(text(500), { logits: 'none' });
    const decode = async (of: typeof sequence) => {
      const rows: Float32Array[] = [];
      for (const id of text(12, 4)) rows.push(await of.forward([id]));
      return rows;
    };
    const fork = sequence.fork();
    const expected = await decode(sequence);
    expect(await decode(fork)).toEqual(expected);
    sequence.truncate(500);
    expect(await decode(sequence)).toEqual(expected);
    sequence.truncate(509);
    const abort = new AbortController();
    const onProgress = () => abort.abort();
    await expect(sequence.forward(text(100), { signal: abort.signal, onProgress })).rejects.toMatchObject({
      code: 'aborted',
    });
    const rest: Float32Array[] = [];
    for (const id of text(12, 4).slice(9)) rest.push(await sequence.forward([id]));
    expect(rest).toEqual(expected.slice(9));
    sequence.dispose();
    fork.dispose();
  });
});

describe('a question', () => {
  it('at the end of a prompt is answered as one behind a document: by all keys', async () => {
    const config = { k: 32, window: 64, sink: 4, denseLayers: 0 };
    const ids = text(1300);
    await withEngine(files, { attention: { config }, contextTokens: 1400, threads: 1 }, async (own) => {
      const whole = await own.createSequence().forward(ids);
      const apart = own.createSequence();
      await apart.forward(ids.slice(0, 1236), { logits: 'none' });
      expect(relativeError(await apart.forward(ids.slice(1236)), whole)).toBeLessThan(1e-6);
      // Rows of a text that nothing is asked of are searched for to their end.
      const read = own.createSequence();
      await read.forward(ids.slice(0, -1), { logits: 'none' });
      expect(relativeError(await read.forward(ids.slice(-1)), whole)).toBeGreaterThan(1e-4);
    });
  });
});

describe('the mask of a layer', () => {
  it('is what the last rows read, where HiP selected it', async () => {
    const sequence = engine.createSequence();
    await sequence.forward(text(40), { logits: 'none' });
    expect(sequence.mask(1)).toBeUndefined();
    await sequence.forward(text(560), { logits: 'none' });
    expect(sequence.mask(0)).toBeUndefined();
    expect(sequence.mask(1)).toMatchObject({ keys: 600, queries: 48, window: 64, sink: 8 });
    expect(sequence.mask(99)).toBeUndefined();
    const fork = sequence.fork();
    expect(fork.mask(1)).toBeUndefined();
    fork.dispose();
    sequence.dispose();
    expect(() => sequence.mask(1)).toThrow(/disposed/);
  });
});

describe('which keys a layer reads', () => {
  const kinds = async (
    attention: AttentionChoice,
    keys: number,
    fields: Readonly<Record<string, unknown>> = {},
    queries = 64,
  ) => {
    await using checkpoint = await openCheckpoint(tinyModel(fields).files);
    const { config } = checkpoint;
    const resolved = resolveOptions({ attention }, config, 'wasm');
    return Array.from({ length: config.layers }, (_, layer) => {
      const shape = { layer, heads: 4, kvHeads: 2, headDim: 8, ffns: [], ffn: 48, rope: undefined };
      const window = config.slidingWindows?.[layer] ?? 0;
      return attends(attentionRule({ ...shape, window }, resolved.attention), keys, queries);
    });
  };

  it('follows the configuration, the length and the window', async () => {
    expect(await kinds('dense', 1e6)).toEqual(['dense', 'dense', 'dense']);
    expect(await kinds({}, 1000)).toEqual(['dense', 'dense', 'dense']);
    expect(await kinds({}, 20_000)).toEqual(['dense', 'dense', 'hip']);
    expect(await kinds({}, 5000, {}, 1)).toEqual(['dense', 'dense', 'dense']);
    expect(await kinds({}, 7000, {}, 1)).toEqual(['dense', 'dense', 'hip']);
    // A question attends to all keys where rows of a text are searched for.
    expect(await kinds({}, 12_000, {}, 64)).toEqual(['dense', 'dense', 'dense']);
    expect(await kinds({}, 12_000, {}, 65)).toEqual(['dense', 'dense', 'hip']);
    expect(await kinds({ denseBelow: 2048 }, 12_000, {}, 20)).toEqual(['dense', 'dense', 'hip']);
    // Nothing is quadratic: dense layers end where the configuration says.
    expect(await kinds({}, DEFAULT_CONFIG.denseTokens! + 1)).toEqual(['hip', 'hip', 'hip']);
    expect(await kinds({ denseBelow: 0, config: { denseLayers: 0 } }, 500)).toEqual(['hip', 'hip', 'hip']);
    // HiP would keep them all.
    expect(await kinds({ denseBelow: 1, config: { denseLayers: 0 } }, 400)).toEqual(['dense', 'dense', 'dense']);
    const mistral = { model_type: 'mistral', architectures: ['MistralForCausalLM'], sliding_window: 64 };
    expect(await kinds({}, 20_000, mistral)).toEqual(['window', 'window', 'window']);
    expect(await kinds({}, 64, mistral)).toEqual(['dense', 'dense', 'dense']);
  });

  it('follows a profile', async () => {
    const profile = {
      config: { k: 64, blockQ: 64, blockK: 2, window: 64, sink: 16 },
      layers: [{ k: 32 }, { dense: true }, { kPerHead: [8, 16, 32, 200], remainder: false as const }],
    };
    expect(await kinds({ profile, denseBelow: 0 }, 5000)).toEqual(['hip', 'dense', 'hip']);
    await withEngine(files, { attention: { profile, denseBelow: 0 }, contextTokens: 600 }, async (own) => {
      const logits = await own.createSequence().forward(text(500));
      expect(logits.every(Number.isFinite)).toBe(true);
    });
  });
});
