// BEiT-3 against the goldens: images, texts, both fused, and its three heads; sub-networks of each, masked, sliced and reloaded.
import { readFile } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import { memoryFiles, openSafetensors, fileSource } from '@hip/checkpoints';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { countParameters } from '../../src/elastic/cost.ts';
import { reorderByImportance } from '../../src/elastic/reorder.ts';
import { fullSubnet } from '../../src/elastic/subnets.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import { exportOnnx } from '../../src/export/onnx.ts';
import { extractModel } from '../../src/export/values.ts';
import type { ElasticModel, ForwardOutput, ModelInputs } from '../../src/model/types.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { goldenPath, missingGolden } from '../helpers/golden.ts';

const TOLERANCE = { atol: 2e-5, rtol: 1e-5 };
const INPUTS = { pixel_values: 'pixelValues', input_ids: 'inputIds', attention_mask: 'attentionMask' } as const;
/** Golden, its configuration, and where its inputs are if not with it. */
const CASES = [
  ['image', 'config.json'],
  ['text', 'config.json'],
  ['fused', 'config.json'],
  ['retrieval', 'config-retrieval.json'],
  ['vqa', 'config-vqa.json'],
  ['classification', 'config-classification.json'],
] as const;

async function read(name: string): Promise<{ inputs: ModelInputs; outputs: Map<string, Float32Array> }> {
  const file = await openSafetensors(await fileSource(goldenPath('beit3')! + `/golden-${name}.safetensors`));
  const inputs: Record<string, tf.Tensor> = {};
  const outputs = new Map<string, Float32Array>();
  for (const key of file.tensors.keys()) {
    const { data, shape } = await file.read(key);
    const input = INPUTS[key.replace(/^in\./, '') as keyof typeof INPUTS];
    if (input) inputs[input] = tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32');
    else outputs.set(key.replace(/^out\./, ''), data as Float32Array);
  }
  await file.close();
  return { inputs: inputs as ModelInputs, outputs };
}

async function load(config: string): Promise<ElasticModel> {
  const folder = goldenPath('beit3')!;
  const raw = JSON.parse(await readFile(`${folder}/${config}`, 'utf8')) as Record<string, unknown>;
  return (await loadCheckpoint(folder, { config: raw })).model;
}

describe.skipIf(missingGolden).each(BACKENDS)(`BEiT-3 on %s${missingGolden}`, (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(CASES)('%s', async (name, config) => {
    const { inputs, outputs } = await read(name);
    const model = await load(config);
    const result = model.forward(inputs, { hiddenStates: true });
    const named: Readonly<Record<string, keyof ForwardOutput>> = {
      encoder_out: 'logits',
      logits: 'logits',
      logits_per_image: 'logits',
      vision_features: 'imageEmbeddings',
      language_features: 'textEmbeddings',
    };
    let compared = 0;
    for (const [key, expected] of outputs) {
      const state = /^hidden_states\.(\d+)$/.exec(key)?.[1];
      const output = state === undefined ? result[named[key] ?? 'logits'] : result.hiddenStates?.[Number(state)];
      if (state === undefined && named[key] === undefined) continue;
      expect(await (output as tf.Tensor).data(), key).toBeAllclose(expected, TOLERANCE);
      compared++;
    }
    expect(compared).toBe({ image: 5, text: 5, fused: 5, retrieval: 3, vqa: 1, classification: 1 }[name]);
    model.dispose();
  });

  it('retrieval embeds images and texts by themselves', async () => {
    const { inputs, outputs } = await read('retrieval');
    const model = await load('config-retrieval.json');
    const { pixelValues, ...text } = inputs;
    const image = model.forward({ pixelValues: pixelValues! }).logits;
    expect(await image.data()).toBeAllclose(outputs.get('vision_features')!, TOLERANCE);
    expect(await model.forward(text).logits.data()).toBeAllclose(outputs.get('language_features')!, TOLERANCE);
    model.dispose();
  });

  it('a published model has no final norm: with one it is another', async () => {
    for (const name of ['vqa', 'classification'] as const) {
      const { inputs, outputs } = await read(name);
      const folder = goldenPath('beit3')!;
      const raw = JSON.parse(await readFile(`${folder}/config-${name}.json`, 'utf8')) as Record<string, unknown>;
      const { model } = await loadCheckpoint(folder, { config: { ...raw, normalize_output: true } });
      const logits = await model.forward(inputs).logits.data();
      expect(logits).toBeAllclose(outputs.get('logits_with_final_norm')!, TOLERANCE);
      expect(model.config.finalNorm).toBe(true);
      model.dispose();
    }
  });
});

describe.skipIf(missingGolden)(`sub-networks of BEiT-3${missingGolden}`, () => {
  beforeAll(() => useBackend('wasm'));

  it.each([
    ['fused', 'config.json'],
    ['retrieval', 'config-retrieval.json'],
    ['vqa', 'config-vqa.json'],
  ] as const)('%s: masked, sliced, extracted and reloaded agree', async (name, config) => {
    const { inputs } = await read(name);
    const model = await load(config);
    const run = async (one: ElasticModel, options = {}) => one.forward(inputs, options).logits.data();
    const full = await run(model);
    const subnet = { layers: 2, heads: [2, 3, 1], ffn: [64, 100, 1] };
    const sliced = await run(model, { subnet });
    expect(sliced).not.toEqual(full);
    expect(await run(model, { subnet, mode: 'masked' })).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
    expect(await run(model, { subnet: fullSubnet(model.space) })).toEqual(full);
    const small = await extractModel(model, subnet);
    expect([...small.weights.values()].reduce((sum, weight) => sum + weight.size, 0)).toBe(
      countParameters(model.config, subnet),
    );
    const { files } = await renderCheckpoint(model, subnet);
    const bytes = files.map((file) => [file.name, Buffer.concat([...file.chunks])] as const);
    const again = (await loadCheckpoint(memoryFiles(new Map(bytes)))).model;
    for (const other of [small, again]) {
      expect(await run(other)).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
      other.dispose();
    }
    model.dispose();
  });

  it.each([
    ['fused', 'config.json', 'last_hidden_state', 'encoder_out'],
    ['retrieval', 'config-retrieval.json', 'logits_per_image', 'logits_per_image'],
    ['vqa', 'config-vqa.json', 'logits', 'logits'],
  ] as const)('%s as ONNX: the goldens, and a sub-network', async (name, config, output, golden) => {
    const { inputs, outputs } = await read(name);
    const model = await load(config);
    const int64 = async (tensor: tf.Tensor) =>
      new ort.Tensor('int64', BigInt64Array.from(await tensor.data(), BigInt), tensor.shape);
    const feeds = {
      pixel_values: new ort.Tensor(
        'float32',
        (await inputs.pixelValues!.data()) as Float32Array,
        inputs.pixelValues!.shape,
      ),
      input_ids: await int64(inputs.inputIds!),
      attention_mask: await int64(inputs.attentionMask!),
    };
    const subnet = { layers: 2, heads: [2, 3, 1], ffn: [64, 100, 1] };
    for (const kept of [fullSubnet(model.space), subnet]) {
      const session = await ort.InferenceSession.create(await exportOnnx(model, kept));
      const result = await session.run(feeds);
      const expected = kept === subnet ? await model.forward(inputs, { subnet }).logits.data() : outputs.get(golden)!;
      expect(result[output]!.data as Float32Array).toBeAllclose(expected, { atol: 1e-4, rtol: 0 });
      const texts = result['text_embeds']?.data as Float32Array | undefined;
      const features = kept === subnet ? texts : outputs.get('language_features');
      expect(texts ?? []).toBeAllclose(features ?? [], { atol: 1e-4, rtol: 0 });
      await session.release();
    }
    model.dispose();
  });

  it('reordered, the whole model is what it was', async () => {
    const { inputs } = await read('fused');
    const model = await load('config.json');
    const before = await model.forward(inputs).logits.data();
    const { ffn, headGroups } = await reorderByImportance(model, { criterion: 'activation', batches: [inputs] });
    expect(await model.forward(inputs).logits.data()).toBeAllclose(before, { atol: 1e-5, rtol: 0 });
    expect([ffn.length, headGroups.length]).toEqual([3, 3]);
    expect(ffn[0]).not.toEqual(Array.from({ length: 128 }, (_, i) => i));
    model.dispose();
  });
});
