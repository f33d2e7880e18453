// ONNX exports run in onnxruntime-node with the logits of this package: full models and sub-networks of every golden family.
import * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { fullSubnet, sampleSubnet } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import { exportOnnx } from '../../src/export/onnx.ts';
import { useBackend } from '../helpers/backend.ts';
import { feedsOf } from '../helpers/onnx.ts';
import { tinyLlama } from '../helpers/tiny.ts';
import { ENCODER_GOLDENS, GOLDENS, goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';

describe('masks of ONNX graphs', () => {
  beforeAll(() => useBackend('cpu'));

  it('hide keys whatever their scores: tokens that come later, and padding, change nothing', async () => {
    const model = tinyLlama();
    // Scores of the order of 1e20, beside which −1e9 would be nothing.
    for (const [name, weight] of model.weights)
      if (name.endsWith('attention.key.weight')) weight.assign(tf.mul(weight, 1e20));
    const full = fullSubnet(model.space);
    const session = await ort.InferenceSession.create(await exportOnnx(model, full, { attentionMask: true }));
    const run = async (ids: readonly number[], mask: readonly number[]): Promise<Float32Array> => {
      const tensor = (values: readonly number[]) =>
        new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
      const { logits } = await session.run({ input_ids: tensor(ids), attention_mask: tensor(mask) });
      return logits!.data as Float32Array;
    };
    const alone = await run([5, 6, 7, 8], [1, 1, 1, 1]);
    const later = await run([5, 6, 7, 8, 9, 10], [1, 1, 1, 1, 1, 1]);
    expect(later.subarray(0, alone.length)).toBeAllclose(alone, { atol: 1e-5, rtol: 0 });
    const padded = await run([9, 10, 5, 6, 7, 8], [0, 0, 1, 1, 1, 1]);
    const other = await run([3, 4, 5, 6, 7, 8], [0, 0, 1, 1, 1, 1]);
    const real = (logits: Float32Array) => logits.subarray(logits.length / 3);
    expect(real(padded)).toBeAllclose(real(other), { atol: 1e-5, rtol: 0 });
    await session.release();
    model.dispose();
  });
});

describe.skipIf(missingShared('models/minilm-l6'))(`sentences${missingShared('models/minilm-l6')}`, () => {
  beforeAll(() => useBackend('wasm'));

  it('become unit vectors, padded or not, beside the states of their tokens', async () => {
    const { model } = await loadCheckpoint(sharedPath('models', 'minilm-l6')!);
    const session = await ort.InferenceSession.create(await exportOnnx(model));
    expect(session.outputNames).toEqual(['sentence_embedding', 'last_hidden_state']);
    const inputs = {
      inputIds: tf.tensor2d(
        [
          [101, 2023, 2003, 102],
          [101, 2008, 102, 0],
        ],
        [2, 4],
        'int32',
      ),
      attentionMask: tf.tensor2d(
        [
          [1, 1, 1, 1],
          [1, 1, 1, 0],
        ],
        [2, 4],
        'int32',
      ),
    };
    const output = await session.run(await feedsOf(session, inputs));
    const expected = model.forward(inputs).logits;
    expect(output['sentence_embedding']!.data as Float32Array).toBeAllclose(await expected.data(), {
      atol: 1e-5,
      rtol: 0,
    });
    expect(output['last_hidden_state']!.dims).toEqual([2, 4, 384]);
    await session.release();
    model.dispose();
  });
});

describe.skipIf(missingGolden)(`ONNX${missingGolden}`, () => {
  beforeAll(() => useBackend('wasm'));

  it.each([...GOLDENS, ...ENCODER_GOLDENS])('%s', async (name) => {
    const folder = goldenPath(name)!;
    const { inputs, logits } = await loadGolden(folder);
    const { model } = await loadCheckpoint(folder);
    let state = 3;
    const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
    const run = async (subnet: SubnetConfig): Promise<ort.Tensor> => {
      const session = await ort.InferenceSession.create(await exportOnnx(model, subnet));
      const output = await session.run(await feedsOf(session, inputs));
      await session.release();
      return output['logits']!;
    };
    const full = await run(fullSubnet(model.space));
    expect(full.data as Float32Array, 'transformers').toBeAllclose(logits, { atol: 2e-4, rtol: 0 });
    for (let round = 0; round < 2; round++) {
      const subnet = sampleSubnet(model.space, random);
      const actual = await run(subnet);
      const expected = model.forward(inputs, { subnet }).logits;
      expect(actual.dims).toEqual(expected.shape);
      expect(actual.data as Float32Array, 'sub-network').toBeAllclose(await expected.data(), { atol: 1e-4, rtol: 0 });
    }
    model.dispose();
  });

  it.each([
    'llama-gqa',
    'llama3-rope',
    'qwen2',
    'gpt2',
    'bert-mlm',
    'bert-seqcls',
    'roberta-pair',
    'distilbert-seqcls',
    'modernbert-mlm',
    'deberta-v2-seqcls',
  ])('%s, rows padded on the left', async (name) => {
    const folder = goldenPath(name)!;
    const { model } = await loadCheckpoint(folder);
    try {
      const without = await ort.InferenceSession.create(await exportOnnx(model));
      expect(without.inputNames.includes('attention_mask')).toBe(!model.config.causal);
      await without.release();
      const session = await ort.InferenceSession.create(
        await exportOnnx(model, fullSubnet(model.space), { attentionMask: true }),
      );
      const ids = [
        [3, 1, 4, 1, 5, 9],
        [0, 0, 2, 6, 5, 3],
      ];
      const mask = [
        [1, 1, 1, 1, 1, 1],
        [0, 0, 1, 1, 1, 1],
      ];
      const inputs = {
        inputIds: tf.tensor2d(ids, [2, 6], 'int32'),
        attentionMask: tf.tensor2d(mask, [2, 6], 'int32'),
      };
      const output = await session.run(await feedsOf(session, inputs));
      await session.release();
      const expected = model.forward(inputs).logits;
      const width = expected.shape.at(-1)!;
      const isOfTokens = expected.shape.length === 3;
      const real = (values: Float32Array) =>
        values.filter((_, i) => !isOfTokens || mask.flat()[Math.floor(i / width)] === 1);
      expect(real(output['logits']!.data as Float32Array)).toBeAllclose(real((await expected.data()) as Float32Array), {
        atol: 1e-4,
        rtol: 0,
      });
      tf.dispose([expected, ...Object.values(inputs)]);
    } finally {
      model.dispose();
    }
  });
});
