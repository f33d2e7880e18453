// Training adapters on a frozen network: what moves, what is held and saved, what is not computed, resume to the bit.
import * as tf from '@tensorflow/tfjs';
import { openSafetensors } from '@hip/checkpoints';
import '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { addAdapters } from '../../src/adapters/add.ts';
import { trainedSlots, trainedWeights } from '../../src/adapters/trained.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import { reorderByImportance } from '../../src/elastic/reorder.ts';
import type { ElasticModel } from '../../src/model/types.ts';
import { AdamW } from '../../src/train/optimizer/adamw.ts';
import { fineTune, fineTuneSteps } from '../../src/train/run/fine-tune.ts';
import type { FineTuneOptions } from '../../src/train/run/options.ts';
import { memoryStore } from '../../src/train/state/store.ts';
import { pruneVocabulary } from '../../src/vocabulary/prune.ts';
import { everyTarget } from '../helpers/adapted.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyBert, tinyLlama, tinyVit, weightsOf, withSpace } from '../helpers/tiny.ts';

const windows = textWindows(patternedTokens(400), { length: 8 });

/** Sentences of three classes, which their first token tells. */
const sentences: Dataset = {
  length: 24,
  batch: async (indices) => {
    const ids = indices.flatMap((index) => [
      2 + (index % 3),
      ...Array.from({ length: 5 }, (_, t) => 6 + ((index * 7 + t) % 20)),
    ]);
    return {
      size: indices.length,
      inputIds: { shape: [indices.length, 6], data: Int32Array.from(ids) },
      labels: Int32Array.from(indices, (index) => index % 3),
    };
  },
};

/** Images of three classes. */
const images: Dataset = {
  length: 12,
  batch: async (indices) => ({
    size: indices.length,
    pixelValues: {
      shape: [indices.length, 3, 8, 8],
      data: Float32Array.from({ length: indices.length * 192 }, (_, i) =>
        Math.sin(i + (indices[Math.floor(i / 192)]! % 3)),
      ),
    },
    labels: Int32Array.from(indices, (index) => index % 3),
  }),
};

const trainedValues = async (model: ElasticModel) =>
  new Map(
    await Promise.all(
      [...trainedWeights(model)].map(async ([name, weight]) => [name, [...(await weight.data())]] as const),
    ),
  );

describe.each(BACKENDS)('adapters on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each<[string, () => ReturnType<typeof tinyLlama>, Dataset, FineTuneOptions]>([
    ['a language model', tinyLlama, windows, { strategy: 'plain' }],
    ['a classifier', tinyBert, sentences, { strategy: 'instatune' }],
    ['an image classifier', tinyVit, images, { strategy: 'sandwich' }],
  ])('%s learns, and its base does not change', async (_, make, data, how) => {
    const base = make();
    const before = await weightsOf(base);
    const model = addAdapters(base, { targets: everyTarget(base), ranks: [0, 2, 4], alpha: 8 });
    const first = await trainedValues(model);
    const { history } = await fineTune(model, data, { ...how, steps: 24, batchSize: 6, learningRate: 2e-2 });
    const losses = history.map(({ loss }) => loss);
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(losses.slice(-6))).toBeLessThan(mean(losses.slice(0, 6)));
    expect(await weightsOf(base)).toEqual(before);
    const after = await trainedValues(model);
    expect([...after.keys()]).toEqual(trainedSlots(model).map(({ name }) => name));
    for (const [name, values] of after) expect(values, name).not.toEqual(first.get(name));
    for (const each of [model, base]) each.dispose();
  });

  it('distils from the base, and from itself, in sub-networks of every axis', async () => {
    const start = tinyLlama();
    const base = await withSpace(start, { layers: [1, 2], hidden: [8, 16], skip: { attention: [1] } });
    const model = addAdapters(base, { targets: ['query', 'down'], ranks: [0, 4] });
    for (const options of [{ gamma: 1, teacher: base, hiddenStates: 0 }, { gamma: 0 }] as const) {
      const { history } = await fineTune(model, windows, { ...options, strategy: 'sandwich', steps: 3, subnets: 2 });
      expect(history.every(({ loss }) => Number.isFinite(loss))).toBe(true);
    }
    for (const each of [model, base, start]) each.dispose();
  });

  it('a step of sub-networks of rank 0 alone moves nothing', async () => {
    const base = tinyLlama();
    const model = addAdapters(base, { rank: 4, ranks: [0] });
    const before = await trainedValues(model);
    const { history } = await fineTune(model, windows, { strategy: 'random', steps: 2, batchSize: 2 });
    expect(history[0]!.loss).toBeGreaterThan(0);
    expect(await trainedValues(model)).toEqual(before);
    for (const each of [model, base]) each.dispose();
  });

  it('a run that was stopped goes on to the bit, ranks, head and average too', async () => {
    const base = tinyBert();
    const options: FineTuneOptions = {
      strategy: 'sandwich',
      steps: 7,
      batchSize: 4,
      learningRate: 1e-2,
      seed: 3,
      dropout: 0.1,
      average: { decay: 0.9 },
    };
    const make = () => addAdapters(base, { targets: ['query', 'up'], ranks: [0, 2, 4], seed: 9 });
    const straight = make();
    const whole = await fineTune(straight, sentences, options);
    const store = memoryStore();
    const first = make();
    for await (const { step } of fineTuneSteps(first, sentences, { ...options, checkpoint: { store } })) {
      if (step === 3) break;
    }
    first.dispose();
    const second = make();
    const resumed = await fineTune(second, sentences, { ...options, checkpoint: { store } });
    expect(resumed.resumedFrom).toBe(3);
    expect(resumed.history).toEqual(whole.history);
    expect(await trainedValues(second)).toEqual(await trainedValues(straight));
    for (const each of [straight, second, base]) each.dispose();
  });
});

describe('what is held', () => {
  beforeAll(() => useBackend('wasm'));

  it('gradients, moments and the saved state are those of adapters and head', async () => {
    const base = tinyBert();
    const model = addAdapters(base, { rank: 2 });
    const names = trainedSlots(model).map(({ name }) => name);
    // Two products a layer, two layers; pooler and head with their biases.
    expect(names).toHaveLength(2 * 2 * 2 + 4);
    const store = memoryStore();
    await fineTune(model, sentences, { strategy: 'plain', steps: 1, batchSize: 4, checkpoint: { store } });
    const file = await openSafetensors((await store.load())!);
    const expected = names.flatMap((name) => [`weights.${name}`, `first.${name}`, `second.${name}`]);
    expect([...file.tensors.keys()].toSorted()).toEqual([...expected, 'checksum'].toSorted());
    for (const each of [model, base]) each.dispose();
  });

  it('a state of another base is refused', async () => {
    const [base, other] = [tinyLlama(1), tinyLlama(2)];
    const store = memoryStore();
    const options = { strategy: 'plain', steps: 2, batchSize: 2, checkpoint: { store } } as const;
    await fineTune(addAdapters(base), windows, options);
    await expect(fineTune(addAdapters(other), windows, options)).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    // Other ranks are another model.
    const narrow = addAdapters(base, { rank: 4 });
    await expect(fineTune(narrow, windows, options)).rejects.toThrow(/does not fit this model/);
    for (const each of [base, other]) each.dispose();
  });

  it('AdamW has no moments of the base', async () => {
    const model = addAdapters(tinyLlama());
    const name = 'layers.0.ffn.up.weight';
    const before = await model.weights.get(name)!.data();
    const optimizer = new AdamW(model);
    optimizer.apply(new Map([[name, tf.ones([16, 24])]]), 1e-3);
    expect((await optimizer.state()).size).toBe(0);
    expect(await model.weights.get(name)!.data()).toEqual(before);
    optimizer.dispose();
  });
});

describe('what is not for adapters', () => {
  it('says what to do', async () => {
    await useBackend('cpu');
    const model = addAdapters(tinyLlama());
    const expected = { code: 'invalid-option', message: expect.stringContaining('give their base before addAdapters') };
    await expect(reorderByImportance(model, { criterion: 'magnitude' })).rejects.toMatchObject(expected);
    await expect(pruneVocabulary(model, ['x'])).rejects.toMatchObject(expected);
  });
});
