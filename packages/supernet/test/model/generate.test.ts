// Generation: what the checkpoint advises, turns that go on, the end of the positions, logits that are no numbers.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { memoryFiles, type GenerationDefaults } from '@hip/checkpoints';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import { exportOnnx } from '../../src/export/onnx.ts';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import { generate } from '../../src/model/generate.ts';
import { prefill, tokenLosses } from '../../src/model/prefill.ts';
import { TransformerModel } from '../../src/model/transformer.ts';
import { AdamW } from '../../src/train/optimizer/adamw.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { saveState } from '../../src/train/state/state.ts';
import { memoryStore } from '../../src/train/state/store.ts';
import { useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyGpt2, tinyLlama, weightsOf } from '../helpers/tiny.ts';

beforeAll(() => useBackend('cpu'));

const free = { maxTokens: 6, stopIds: [] };

/** The same model as its makers advise to use it. */
async function advised(generation: GenerationDefaults): Promise<TransformerModel> {
  const model = tinyLlama();
  const values = new Map([...(await weightsOf(model))].map(([name, data]) => [name, Float32Array.from(data)]));
  const { config } = model;
  model.dispose();
  return new TransformerModel(config, values, {}, undefined, generation);
}

describe('generation_config.json', () => {
  it('is read with the checkpoint: its stop tokens win over the configuration’s', async () => {
    const model = tinyLlama(1, { eos_token_id: 31 });
    const ids = await generate(model, [3, 4, 5], free);
    const { files } = await renderCheckpoint(model);
    const bytes = new Map(files.map(({ name, chunks }) => [name, Uint8Array.from([...chunks].flatMap((c) => [...c]))]));
    bytes.set('generation_config.json', new TextEncoder().encode(JSON.stringify({ eos_token_id: [30, ids[2]] })));
    const loaded = (await loadCheckpoint(memoryFiles(bytes))).model;
    expect(loaded.generation?.stopIds).toEqual([30, ids[2]]);
    const stop = ids.indexOf(ids[2]!);
    expect(await generate(loaded, [3, 4, 5], { maxTokens: 6 })).toEqual(ids.slice(0, stop));
    expect(await generate(loaded, [3, 4, 5], free)).toEqual(ids);
    bytes.set('generation_config.json', new TextEncoder().encode('{"top_p": 3}'));
    await expect(loadCheckpoint(memoryFiles(bytes))).rejects.toMatchObject({
      code: 'invalid-config',
      details: { key: 'top_p', value: 3 },
    });
    for (const held of [model, loaded]) held.dispose();
  });

  it('samples where it says so, and the caller has the last word', async () => {
    const plain = tinyLlama();
    const model = await advised({ sample: true, temperature: 2, topK: 5, stopIds: [] });
    const greedy = await generate(plain, [1, 2], free);
    const long = { maxTokens: 12, stopIds: [] };
    const drawn = await generate(model, [1, 2], { maxTokens: 12 });
    expect(drawn).toEqual(await generate(plain, [1, 2], { ...long, temperature: 2, topK: 5 }));
    expect(drawn.slice(0, 6)).not.toEqual(greedy);
    expect(await generate(model, [1, 2], { ...free, temperature: 0 })).toEqual(greedy);
    expect(await generate(model, [1, 2], { ...free, topK: 1 })).toEqual(greedy);
    // A temperature without sampling is not used, as in transformers.
    const quiet = await advised({ sample: false, temperature: 2, maxTokens: 3, stopIds: [] });
    expect(await generate(quiet, [1, 2])).toEqual(greedy.slice(0, 3));
    for (const held of [plain, model, quiet]) held.dispose();
  });

  it('a repetition penalty keeps from what was said', async () => {
    const model = tinyLlama();
    const plain = await generate(model, [1, 2], { maxTokens: 12, stopIds: [] });
    expect(new Set(plain).size).toBeLessThan(12);
    const varied = await generate(model, [1, 2], { maxTokens: 12, stopIds: [], repetitionPenalty: 1e6 });
    expect(new Set([1, 2, ...varied]).size).toBe(14);
    await expect(generate(model, [1], { repetitionPenalty: 0 })).rejects.toMatchObject({ code: 'invalid-option' });
    model.dispose();
  });
});

describe('a second turn', () => {
  it('goes on after the whole reply, however it ended', async () => {
    const model = tinyLlama();
    const [prompt, more] = [
      [5, 6, 7],
      [8, 9],
    ];
    const all = await generate(model, prompt, free);
    for (const options of [free, { maxTokens: 6, stopIds: [all[3]!] }, { maxTokens: 0 }]) {
      const cache = new ConcatKeyValueCache();
      const reply = await generate(model, prompt, { ...options, cache });
      expect(cache.length).toBe(prompt.length + reply.length);
      const [next, right] = [
        await prefill(model, more, cache),
        await prefill(model, [...prompt, ...reply, ...more], new ConcatKeyValueCache()),
      ];
      expect(await next.data()).toBeAllclose(await right.data(), { atol: 1e-5, rtol: 0 });
      cache.dispose();
    }
    model.dispose();
  });
});

describe('learned positions', () => {
  it('end the text with what there is', async () => {
    const model = tinyGpt2();
    const prompt = [...patternedTokens(20)];
    const before = tf.memory().numTensors;
    const cache = new ConcatKeyValueCache();
    // 20 tokens, 4 more to the end of the table, and what follows the last of them.
    expect(await generate(model, prompt, { maxTokens: 50, stopIds: [], cache })).toHaveLength(5);
    expect(cache.length).toBe(24);
    cache.dispose();
    expect(await generate(model, [...patternedTokens(24)], { maxTokens: 50, stopIds: [] })).toHaveLength(1);
    await expect(generate(model, [...patternedTokens(25)])).rejects.toMatchObject({ code: 'invalid-input' });
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});

describe('numbers that are not finite', () => {
  const poisons: [string, number][] = [
    ['norm.weight', Number.NaN],
    ['embeddings.token.weight', Infinity],
  ];
  it.each(poisons)('in %s: %d is an error wherever it would go on', async (name, value) => {
    const model = tinyLlama();
    const weight = model.weights.get(name)!;
    tf.tidy(() => weight.assign(tf.fill(weight.shape, value)));
    for (const temperature of [0, 1]) {
      const cache = new ConcatKeyValueCache();
      await expect(generate(model, [3, 4], { temperature, cache })).rejects.toMatchObject({
        code: 'non-finite',
        message: expect.stringContaining('step 1'),
        details: { step: 1 },
      });
      expect(cache.length).toBe(0);
    }
    await expect(tokenLosses(model, [1, 2, 3])).rejects.toMatchObject({ code: 'non-finite', details: { token: 1 } });
    const data = textWindows(patternedTokens(30), { length: 4 });
    await expect(evaluate(model, data)).rejects.toMatchObject({ code: 'non-finite', details: { example: 0 } });
    const named = { code: 'non-finite', details: { weight: name, index: 0, value } };
    await expect(renderCheckpoint(model)).rejects.toMatchObject(named);
    await expect(exportOnnx(model)).rejects.toMatchObject(named);
    const store = memoryStore();
    const run = {
      step: 1,
      random: [1, 2, 3, 4],
      loader: { epoch: 0, position: 0 },
      history: [],
      fingerprint: '',
      began: { data: null, weights: '' },
    } as const;
    await expect(saveState(store, model, { optimizer: new AdamW(model) }, run)).rejects.toMatchObject(named);
    expect(await store.load()).toBeUndefined();
    model.dispose();
  });

  it('the step is the one whose token could not be chosen', async () => {
    const model = tinyLlama();
    let asked = 0;
    const attention: Parameters<typeof generate>[2] = {
      ...free,
      attention: (q) => (asked++ < 4 ? tf.zerosLike(q) : tf.fill(q.shape, Number.NaN)) as tf.Tensor4D,
    };
    // Two layers: the third token is the first that sees it.
    await expect(generate(model, [3, 4], attention)).rejects.toMatchObject({ details: { step: 3 } });
    model.dispose();
  });
});
