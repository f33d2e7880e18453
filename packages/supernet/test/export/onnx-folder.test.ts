// Exported folders in transformers.js, as they are: no network, no options but the folder.
import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, pipeline, type TextGenerationPipeline } from '@huggingface/transformers';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { textDataset } from '../../src/data/text-classification.ts';
import { fullSubnet, smallestSubnet, uniformSubnet } from '../../src/elastic/subnets.ts';
import { exportOnnx, quantizedModel } from '../../src/export/onnx.ts';
import { extractModel } from '../../src/export/values.ts';
import { generate } from '../../src/model/generate.ts';
import { embed } from '../../src/train/evaluation/embeddings.ts';
import { useBackend } from '../helpers/backend.ts';
import { OnnxDecoder } from '../helpers/onnx.ts';
import { tinyBert, tinyLlama } from '../helpers/tiny.ts';

const missing = missingShared('models/books-lm-6m', 'models/bert-mini');

describe.skipIf(missing)(`folders${missing}`, () => {
  let folder = '';
  beforeAll(async () => {
    await useBackend('wasm');
    folder = await mkdtemp(join(tmpdir(), 'onnx-folder-'));
    Object.assign(env, { allowRemoteModels: false, localModelPath: `${folder}/`, logLevel: 40 });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('a language model generates as it does here, from cache to cache', async () => {
    const { model, tokenizer } = await loadCheckpoint(sharedPath('models', 'books-lm-6m')!);
    for (const subnet of [fullSubnet(model.space), smallestSubnet(model.space)]) {
      const name = `lm-${subnet.layers}`;
      const report = await exportOnnx(model, subnet, join(folder, name));
      expect(report.model).toBe('onnx/model.onnx');
      expect(report.files.toSorted()).toEqual(
        [...(await readdir(join(folder, name))).filter((file) => file !== 'onnx'), 'onnx/model.onnx'].toSorted(),
      );
      const generator = (await pipeline('text-generation', name)) as TextGenerationPipeline;
      const prompt = 'It was a dark and';
      const [output] = (await generator(prompt, { max_new_tokens: 16, do_sample: false })) as {
        generated_text: string;
      }[];
      const ids = tokenizer!.encode(prompt);
      const expected = await generate(model, ids, { maxTokens: 16, temperature: 0, subnet });
      expect(output!.generated_text).toBe(prompt + tokenizer!.decode(expected));
      await generator.dispose();
    }
    model.dispose();
  });

  it('several dtypes share a folder; the one written last is loaded without asking', async () => {
    const model = tinyLlama(1, { head_dim: 16, hidden_size: 32, intermediate_size: 64 });
    const place = join(folder, 'several');
    await exportOnnx(model, undefined, place, { dtype: 'q4', externalData: true });
    await exportOnnx(model, undefined, place, { dtype: 'q8' });
    const report = await exportOnnx(model, undefined, place, { dtype: 'fp16', externalData: true, genai: true });
    expect(report.files).toEqual([
      'config.json',
      'genai_config.json',
      'onnx/model_fp16.onnx_data',
      'onnx/model_fp16.onnx',
    ]);
    const config = JSON.parse(await readFile(join(place, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config['transformers.js_config']).toEqual({
      dtype: 'fp16',
      use_external_data_format: { 'model_q4.onnx': 1, 'model_fp16.onnx': 1 },
    });
    for (const file of ['model_q4', 'model_quantized', 'model_fp16']) {
      const decoder = await OnnxDecoder.create(join(place, 'onnx', `${file}.onnx`));
      expect((await decoder.run([[1, 2, 3]])).dims).toEqual([1, 3, 32]);
      // What onnxruntime-genai does not feed is no input.
      expect(decoder.session.inputNames.includes('num_logits_to_keep')).toBe(file !== 'model_fp16');
      await decoder.release();
    }
    model.dispose();
  });

  it.skipIf(missingShared('models/minilm-l6'))('a sentence encoder embeds as it does here', async () => {
    const { model, tokenizer } = await loadCheckpoint(sharedPath('models', 'minilm-l6')!, {
      space: { layers: [3], heads: [8, 12], ffn: [384, 1536], hidden: [192, 384] },
    });
    const texts = ['A whale is no fish.', 'The prince looked at the sky, and said nothing for a long time.', 'Why?'];
    const data = textDataset(texts, tokenizer!);
    for (const hidden of [192, 384]) {
      const name = `sentences-${hidden}`;
      const subnet = { ...uniformSubnet(model.space, 3, 8, 384), hidden };
      await exportOnnx(model, subnet, join(folder, name));
      const extractor = await pipeline('feature-extraction', name);
      const output = await extractor(texts, { pooling: 'mean', normalize: true });
      expect(output.dims).toEqual([texts.length, hidden]);
      const small = await extractModel(model, subnet);
      expect(output.data as Float32Array).toBeAllclose(await embed(small, data), { atol: 1e-5, rtol: 0 });
      small.dispose();
      await extractor.dispose();
    }
    model.dispose();
  });

  it('a classifier answers as it does here, in floats and in bytes', async () => {
    const model = tinyBert(1, { vocab_size: 8192 });
    const { tokenizer } = await loadCheckpoint(sharedPath('models', 'bert-mini')!);
    for (const dtype of ['fp32', 'q8'] as const) {
      const place = join(folder, `bert-${dtype}`);
      await exportOnnx(model, undefined, place, { dtype });
      for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
        await copyFile(sharedPath('models', 'bert-mini', file)!, join(place, file));
      }
      const classify = await pipeline('text-classification', `bert-${dtype}`);
      const answers = (await classify('a fine film', { top_k: null as unknown as number })) as {
        label: string;
        score: number;
      }[];
      const ids = tokenizer!.encode('a fine film');
      const expected = tf.tidy(() =>
        tf
          .softmax(model.forward({ inputIds: tf.tensor2d([ids], [1, ids.length], 'int32') }).logits.flatten())
          .arraySync(),
      ) as number[];
      for (const [i, label] of ['a', 'b', 'c'].entries()) {
        const { score } = answers.find((answer) => answer.label === label)!;
        expect(Math.abs(score - expected[i]!), `${dtype} ${label}`).toBeLessThan(dtype === 'fp32' ? 1e-5 : 0.02);
      }
      await classify.dispose();
    }
    model.dispose();
  });

  it('a masked language model of 4 bits fills masks as its rounded weights do here', async () => {
    const { model, tokenizer } = await loadCheckpoint(sharedPath('models', 'bert-mini')!);
    const options = { dtype: 'q4', quantization: { accuracyLevel: 0 } } as const;
    await exportOnnx(model, undefined, join(folder, 'bert'), options);
    const fill = await pipeline('fill-mask', 'bert');
    const [best] = (await fill('the man was very [MASK].')) as { token: number; score: number }[];
    const rounded = await quantizedModel(model, undefined, options);
    const ids = tokenizer!.encode('the man was very [MASK].');
    const [token, score] = tf.tidy(() => {
      const { logits } = rounded.forward({ inputIds: tf.tensor2d([ids], [1, ids.length], 'int32') });
      const row = tf.softmax(tf.gather(tf.squeeze(logits), ids.indexOf(tokenizer!.encode('[MASK]')[1]!)));
      return [row.argMax().arraySync() as number, row.max().arraySync() as number];
    }) as [number, number];
    expect(best!.token).toBe(token);
    expect(Math.abs(best!.score - score)).toBeLessThan(1e-4);
    await fill.dispose();
    rounded.dispose();
    model.dispose();
  });
});
