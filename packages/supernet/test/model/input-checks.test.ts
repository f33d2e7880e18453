// Inputs that do not fit a model are typed errors that name them, on every backend; ids are checked wherever they are on the host.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import type { Dataset, HostBatch } from '../../src/data/dataset.ts';
import { smallestSubnet } from '../../src/elastic/subnets.ts';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import { generate } from '../../src/model/generate.ts';
import { prefill, tokenLosses } from '../../src/model/prefill.ts';
import type { ForwardOptions, ModelInputs } from '../../src/model/types.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama, tinyVit } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const ints = (...shape: number[]) => tf.ones<tf.Rank.R2>(shape as [number, number], 'int32');
const ids = (...values: number[]) => tf.tensor2d(values, [1, values.length], 'int32');

/** What a forward pass of these inputs throws, and that it leaves no tensor behind. */
function failure(
  model: { forward: (inputs: ModelInputs, options?: ForwardOptions) => unknown },
  inputs: object,
  options: ForwardOptions = {},
): unknown {
  const before = tf.memory().numTensors;
  let error: unknown;
  try {
    model.forward(inputs as ModelInputs, options);
  } catch (caught) {
    error = caught;
  }
  expect(error === undefined || tf.memory().numTensors === before, 'tensors are left').toBe(true);
  return error;
}

function refusesShapes(): void {
  it('names the rank, shape or type of an input, and what it should be', () => {
    const [bert, llama, vit] = [tinyBert(), tinyLlama(), tinyVit()];
    const wrong: [typeof bert, object, string, object][] = [
      [bert, { inputIds: ints(1, 3), attentionMask: ints(1, 2) }, 'attentionMask', { shape: [1, 2], expected: [1, 3] }],
      [bert, { inputIds: ints(2, 3), attentionMask: ints(1, 3) }, 'attentionMask', { shape: [1, 3], expected: [2, 3] }],
      [bert, { inputIds: ints(2, 3), attentionMask: ints(6) }, 'attentionMask', { shape: [6] }],
      [
        bert,
        { inputIds: ints(1, 3), attentionMask: tf.tensor2d([['1', '1', '1']]) },
        'attentionMask',
        { dtype: 'string' },
      ],
      [llama, { inputIds: ints(1, 3), attentionMask: ints(1, 4) }, 'attentionMask', { shape: [1, 4] }],
      [llama, { inputIds: ints(2, 3), attentionMask: ints(3, 3) }, 'attentionMask', { expected: [2, 3] }],
      [bert, { inputIds: ints(2, 3), tokenTypeIds: ints(2, 2) }, 'tokenTypeIds', { expected: [2, 3] }],
      [bert, { inputIds: ints(2, 3), tokenTypeIds: ints(3, 2) }, 'tokenTypeIds', { shape: [3, 2] }],
      [bert, { inputIds: ints(1, 3), tokenTypeIds: tf.ones([1, 3]) }, 'tokenTypeIds', { dtype: 'float32' }],
      [llama, { inputIds: ints(3) }, 'inputIds', { shape: [3] }],
      [llama, { inputIds: ints(1, 1, 3) }, 'inputIds', { shape: [1, 1, 3] }],
      [llama, { inputIds: tf.ones([1, 3]) }, 'inputIds', { dtype: 'float32' }],
      [vit, { pixelValues: tf.ones([3, 8, 8]) }, 'pixelValues', { shape: [3, 8, 8] }],
      [vit, { pixelValues: tf.ones([1, 8, 8, 3]) }, 'pixelValues', { expected: ['batch', 3, 8, 8] }],
      [vit, { pixelValues: tf.ones([1, 3, 8, 8], 'int32') }, 'pixelValues', { dtype: 'int32' }],
      [vit, { pixelValues: tf.ones([1, 3, 8, 8]), attentionMask: ints(1, 4) }, 'attentionMask', { expected: [1, 5] }],
    ];
    for (const [model, inputs, name, details] of wrong) {
      const said = failure(model, inputs);
      expect(said).toMatchObject({ code: 'invalid-input', details: { name, ...details } });
      expect((said as Error).message).toContain(name);
      tf.dispose(inputs as tf.TensorContainerObject);
    }
    for (const [model, inputs] of [
      [llama, {}],
      [llama, { inputIds: tf.ones([1, 0], 'int32') }],
      [llama, { inputIds: tf.ones([0, 3], 'int32') }],
      [vit, {}],
    ] as const)
      expect(failure(model, inputs)).toMatchObject({ code: 'invalid-input' });
    for (const model of [bert, llama, vit]) model.dispose();
  });

  it('after cached tokens a mask covers them too', () => {
    const model = tinyLlama();
    const cache = new ConcatKeyValueCache();
    tf.tidy(() => {
      model.forward({ inputIds: ids(1, 2, 3) }, { cache });
      const inputIds = ids(4, 5);
      for (const length of [2, 3, 6]) {
        expect(failure(model, { inputIds, attentionMask: ints(1, length) }, { cache })).toMatchObject({
          code: 'invalid-input',
          message: expect.stringContaining('3 cached tokens and 2 new ones'),
          details: { expected: [1, 5] },
        });
      }
      expect(cache.length).toBe(3);
      const { logits } = model.forward({ inputIds, attentionMask: ints(1, 5) }, { cache });
      expect(logits.shape).toEqual([1, 2, 32]);
    });
    cache.dispose();
    model.dispose();
  });
}

/** A dataset of one sequence that repeats. */
const dataset = (batch: Partial<HostBatch> & { tokens: readonly number[] }): Dataset => ({
  length: 4,
  batch: (indices) => {
    const { tokens, ...rest } = batch;
    const shape = [indices.length, tokens.length];
    const data = Int32Array.from(indices.flatMap(() => [...tokens]));
    return { size: indices.length, inputIds: { shape, data }, labels: data.map(() => 1), ...rest };
  },
});

function refusesIds(): void {
  it.each([32, -1, 2 ** 31 - 1])('names the id %s and its place in generation, losses and data', async (id) => {
    const model = tinyLlama();
    const before = tf.memory().numTensors;
    const [short, deep] = [tinyLlama(1, { vocab_size: 8 }), [1, 2, 3, id, 5]];
    const found = { id, vocabSize: 32 };
    const list = { code: 'invalid-input', details: { ...found, at: [3] } };
    await expect(generate(model, deep, { maxTokens: 1 })).rejects.toMatchObject(list);
    await expect(tokenLosses(model, deep, { chunkTokens: 2 })).rejects.toMatchObject(list);
    const cache = new ConcatKeyValueCache();
    await expect(prefill(model, Int32Array.from(deep), cache, { chunkTokens: 2 })).rejects.toMatchObject(list);
    // Nothing has been run by then.
    expect(cache.length).toBe(0);
    const row = { code: 'invalid-data', details: { ...found, at: [0, 3] } };
    await expect(evaluate(model, dataset({ tokens: deep }))).rejects.toMatchObject(row);
    await expect(fineTune(model, dataset({ tokens: deep }), { steps: 1 })).rejects.toMatchObject(row);
    // What the student reads its teacher may not.
    const taught = fineTune(model, dataset({ tokens: [1, 9] }), { steps: 1, gamma: 1, teacher: [model, short] });
    await expect(taught).rejects.toMatchObject({ code: 'invalid-data', details: { id: 9, at: [0, 1], vocabSize: 8 } });
    short.dispose();
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  it.each(['topK', 'maxTokens', 'seed'])('names a %s of generation that is none', async (name) => {
    const model = tinyLlama();
    for (const value of [0.5, Number.NaN, Infinity, ...(name === 'seed' ? [] : [-1])]) {
      const options = { temperature: 1, maxTokens: 2, [name]: value };
      const wrong = { code: 'invalid-option', details: { name, value } };
      await expect(generate(model, [1, 2], options)).rejects.toMatchObject(wrong);
    }
    expect(await generate(model, [1, 2], { maxTokens: 0 })).toEqual([]);
    model.dispose();
  });

  it('names ids that are no integers', async () => {
    const model = tinyLlama();
    for (const id of [1.5, Number.NaN, '3' as unknown as number])
      await expect(generate(model, [1, id])).rejects.toMatchObject({ code: 'invalid-input', details: { id, at: [1] } });
    model.dispose();
  });

  it('names a segment that is none', async () => {
    const model = tinyBert();
    const types = { shape: [2, 2], data: Int32Array.of(0, 1, 1, 2) };
    const data = dataset({ tokens: [1, 2], tokenTypeIds: types, labels: Int32Array.of(0, 1) });
    const wrong = { code: 'invalid-data', details: { name: 'tokenTypeIds', id: 2, at: [1, 1], typeVocabSize: 2 } };
    await expect(evaluate(model, { ...data, length: 2 })).rejects.toMatchObject(wrong);
    await expect(fineTune(model, data, { steps: 1, batchSize: 2 })).rejects.toMatchObject(wrong);
    model.dispose();
  });
}

describe.each(BACKENDS)('inputs on %s', (backend) => {
  beforeAll(() => useBackend(backend));
  refusesShapes();
  refusesIds();

  it('names an id of a forward pass that no row of the table belongs to', () => {
    const [bert, llama] = [tinyBert(), tinyLlama()];
    for (const id of [32, -1]) {
      const inputIds = tf.tensor2d([1, 2, 3, 4, 5, id], [2, 3], 'int32');
      const wrong = { code: 'invalid-input', details: { name: 'inputIds', id, at: [1, 2], vocabSize: 32 } };
      expect(failure(llama, { inputIds })).toMatchObject(wrong);
      expect(failure(llama, { inputIds }, { subnet: smallestSubnet(llama.space) })).toMatchObject(wrong);
      expect(failure(bert, { inputIds })).toMatchObject(wrong);
    }
    expect(failure(bert, { inputIds: ids(1, 2), tokenTypeIds: ids(0, 2) })).toMatchObject({
      code: 'invalid-input',
      details: { name: 'tokenTypeIds', id: 2, at: [0, 1], typeVocabSize: 2 },
    });
    // A Llama has no segments and does not look at them.
    expect(failure(llama, { inputIds: ids(1, 2), tokenTypeIds: ids(0, 2) })).toBeUndefined();
    for (const model of [bert, llama]) model.dispose();
  });
});

describeGpu('inputs on webgpu', () => {
  beforeAll(startWebGpu);
  refusesShapes();
  refusesIds();
});
