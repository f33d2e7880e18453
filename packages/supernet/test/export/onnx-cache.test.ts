// ONNX graphs with a cache: prompt, chunk and token by token they give the logits that the model gives over its own cache.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint, readSlots } from '@hip/checkpoints';
import { attributeOf, openOnnxModel } from '@hip/onnx/model';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { fullSubnet, sampleSubnet } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import { exportOnnx, quantizedModel, type OnnxOptions } from '../../src/export/onnx.ts';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import type { ElasticModel } from '../../src/model/types.ts';
import { useBackend } from '../helpers/backend.ts';
import { goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';
import { OnnxDecoder } from '../helpers/onnx.ts';
import { tinyGpt2, tinyLlama, tinyQwen } from '../helpers/tiny.ts';

/** Decoders whose head size GroupQueryAttention takes. */
const DECODERS = ['llama-gqa', 'llama3-rope', 'qwen2', 'gpt2', 'mistral', 'phi3', 'qwen3-yarn'];

const PIECES = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 3], [4], [21, 22, 23], [2]];

/** Largest difference of logits over all pieces, absolute and as a share of the largest logit. */
async function difference(
  model: ElasticModel,
  subnet: SubnetConfig,
  options: OnnxOptions = {},
  expected = model,
): Promise<{ readonly absolute: number; readonly relative: number }> {
  const decoder = await OnnxDecoder.create(await exportOnnx(model, subnet, { ...options, cache: true }));
  const cache = new ConcatKeyValueCache();
  let [worst, largest] = [0, 0];
  try {
    for (const ids of PIECES) {
      const output = await decoder.run([ids]);
      const inputIds = tf.tensor2d([ids], [1, ids.length], 'int32');
      const { logits } = expected.forward({ inputIds }, { subnet: expected === model ? subnet : undefined, cache });
      const values = await logits.data();
      const actual = output.data as Float32Array;
      expect(output.dims).toEqual(logits.shape);
      tf.dispose([inputIds, logits]);
      for (let i = 0; i < actual.length; i++) {
        worst = Math.max(worst, Math.abs(actual[i]! - values[i]!));
        largest = Math.max(largest, Math.abs(values[i]!));
      }
    }
  } finally {
    cache.dispose();
    await decoder.release();
  }
  return { absolute: worst, relative: worst / largest };
}

describe('tiny models', () => {
  beforeAll(() => useBackend('cpu'));

  it('whose heads are too small for GroupQueryAttention attend in plain operators', async () => {
    for (const model of [tinyLlama(), tinyGpt2(), tinyQwen()]) {
      expect((await difference(model, fullSubnet(model.space))).absolute).toBeLessThan(1e-4);
      model.dispose();
    }
  });

  it('any sub-network agrees, whatever its heads and widths', async () => {
    const model = tinyLlama(3, { head_dim: 16, num_hidden_layers: 3, intermediate_size: 40, num_attention_heads: 8 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 2 }), async (seed) => {
        let state = seed;
        const subnet = sampleSubnet(model.space, () => (state = (state * 16807) % 2147483647) / 2147483647);
        expect((await difference(model, subnet)).absolute).toBeLessThan(1e-4);
      }),
      { numRuns: 6 },
    );
    model.dispose();
  });

  it('logits of the last tokens only, where they are asked for', async () => {
    const model = tinyLlama(1, { head_dim: 16 });
    const bytes = await exportOnnx(model, undefined, { cache: true });
    const decoder = await OnnxDecoder.create(bytes);
    const all = await decoder.run([[5, 6, 7, 8]]);
    expect(all.dims).toEqual([1, 4, 32]);
    await decoder.reset();
    const last = await decoder.run([[5, 6, 7, 8]], { keep: 1 });
    expect(last.dims).toEqual([1, 1, 32]);
    expect(last.data).toEqual((all.data as Float32Array).slice(-32));
    await decoder.release();
    model.dispose();
  });

  it('dynamic NTK scaling takes the angle of the length so far, as the model does', async () => {
    const rope = { rope_scaling: { rope_type: 'dynamic', factor: 4 }, max_position_embeddings: 8 };
    const model = tinyLlama(1, { head_dim: 16, ...rope });
    expect((await difference(model, fullSubnet(model.space))).absolute).toBeLessThan(1e-4);
    model.dispose();
  });

  it('what cannot be is refused', async () => {
    const model = tinyLlama();
    for (const options of [
      { dtype: 'q3' as 'q4' },
      { dtype: 'q4', quantization: { blockSize: 33 } },
      { dtype: 'q4', quantization: { accuracyLevel: 7 as 4 } },
      { dtype: 'q4', quantization: { embeddings: 5 as 4 } },
      { dtype: 'q4', quantization: { symmetric: true, minima: true } },
      { cache: true, contextLength: 0 },
    ] as const) {
      await expect(exportOnnx(model, undefined, options)).rejects.toMatchObject({ code: 'invalid-option' });
    }
    model.dispose();
  });
});

describe.skipIf(missingGolden)(`decoders${missingGolden}`, () => {
  beforeAll(() => useBackend('wasm'));

  it.each(DECODERS)('%s', async (name) => {
    const { model } = await loadCheckpoint(goldenPath(name)!);
    let state = 5;
    const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
    const bytes = await exportOnnx(model, undefined, { cache: true });
    const { graph } = await openOnnxModel(bytes);
    const nodes = graph.node.filter(({ opType }) => opType === 'GroupQueryAttention');
    expect(nodes).toHaveLength(model.config.layers);
    expect(nodes.map((node) => attributeOf(node, 'do_rotary'))).toEqual(nodes.map(() => (model.config.rope ? 1n : 0n)));
    expect((await difference(model, fullSubnet(model.space))).absolute).toBeLessThan(1e-4);
    expect((await difference(model, sampleSubnet(model.space, random))).absolute).toBeLessThan(1e-4);
    model.dispose();
  });

  it.each(['llama-gqa', 'qwen3-yarn', 'gpt2'])('%s, with weights of 16, 8 and 4 bits', async (name) => {
    const { model } = await loadCheckpoint(goldenPath(name)!);
    const exact = { accuracyLevel: 0 } as const;
    const cases: [OnnxOptions, number][] = [
      [{ dtype: 'fp16' }, 0.03],
      [{ dtype: 'q4', quantization: exact }, 1e-4],
      [{ dtype: 'q4', quantization: { ...exact, symmetric: true, blockSize: 16 } }, 1e-4],
      [{ dtype: 'q4', quantization: { ...exact, embeddings: false, minima: true } }, 1e-4],
      [{ dtype: 'q4', quantization: { ...exact, embeddings: 4 } }, 1e-4],
      [{ dtype: 'q4f16', quantization: exact }, 0.05],
    ];
    for (const [options, limit] of cases) {
      const expected = await quantizedModel(model, undefined, options);
      const { absolute } = await difference(model, fullSubnet(model.space), options, expected);
      expect(absolute, JSON.stringify(options)).toBeLessThan(limit);
      expected.dispose();
    }
    // Activations of 8 bits round by their largest.
    for (const dtype of ['q4', 'q8'] as const) {
      const expected = await quantizedModel(model, undefined, { dtype });
      const { relative } = await difference(model, fullSubnet(model.space), { dtype }, expected);
      expect(relative, dtype).toBeLessThan(0.08);
      expected.dispose();
    }
    model.dispose();
  });

  it.each([
    ['gemma3-text', 'golden.safetensors'],
    ['smollm3', 'golden.safetensors'],
    ['phi3-longrope', 'golden.safetensors'],
    ['phi3-longrope', 'golden-long.safetensors'],
  ])('%s, of a kind that is not computed here, straight from its files (%s)', async (name, file) => {
    await using checkpoint = await openCheckpoint(goldenPath(name)!);
    const readSlot = async (slot: Parameters<typeof readSlots>[1][number]) =>
      (await readSlots(checkpoint, [slot])).get(slot.name)!;
    const { inputs, logits } = await loadGolden(goldenPath(name)!, file);
    const source = { config: checkpoint.config, readSlot };
    const [, length] = inputs.inputIds!.shape;
    for (const cache of [true, false]) {
      const decoder = await OnnxDecoder.create(await exportOnnx(source, undefined, { cache }));
      const ids = (await inputs.inputIds!.array()) as number[][];
      const output = await decoder.run([ids[0]!]);
      const width = checkpoint.config.vocabSize;
      expect(output.data as Float32Array, `cache ${cache}`).toBeAllclose(logits.subarray(0, length * width), {
        atol: 1e-4,
        rtol: 0,
      });
      await decoder.release();
    }
  });
});
