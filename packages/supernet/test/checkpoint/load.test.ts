// loadCheckpoint: what is wrong is said with a code; new heads; both configuration dialects; old weight names.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { fileSource, folderFiles, openSafetensors, writeSafetensors, type LoadedTensor } from '@hip/checkpoints';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { saveCheckpoint } from '../../src/export/extract.ts';
import { useBackend } from '../helpers/backend.ts';
import { goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';

describe.skipIf(missingGolden)(`loadCheckpoint${missingGolden}`, () => {
  let folder: string;
  beforeAll(() => useBackend('wasm'));
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'supernet-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const use = (name: string) => cp(goldenPath(name)!, folder, { recursive: true });
  const editConfig = async (change: (config: Record<string, unknown>) => void) => {
    const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as Record<string, unknown>;
    change(config);
    await writeFile(`${folder}/config.json`, JSON.stringify(config));
  };
  const editWeights = async (change: (tensors: LoadedTensor[]) => LoadedTensor[]) => {
    const file = await openSafetensors(await fileSource(`${folder}/model.safetensors`));
    const tensors = await Promise.all([...file.tensors.keys()].map((name) => file.read(name)));
    await file.close();
    await writeFile(`${folder}/model.safetensors`, writeSafetensors(change(tensors)));
  };

  it('tells a folder that is not there from one without a checkpoint', async () => {
    await expect(loadCheckpoint(folder)).rejects.toThrow(`${folder} has no config.json`);
    for (const missing of [`${folder}/nope`, `${folder}/file`]) {
      if (missing.endsWith('file')) await writeFile(missing, '');
      await expect(loadCheckpoint(missing)).rejects.toMatchObject({
        code: 'file-not-found',
        message: expect.stringContaining(`there is no folder ${missing}`),
        details: { path: missing },
      });
    }
  });

  it('reads the 4.x rope dialect as the 5.x one', async () => {
    await use('llama3-rope');
    await editConfig((config) => {
      const { rope_theta, ...scaling } = config['rope_parameters'] as Record<string, unknown>;
      config['rope_theta'] = rope_theta;
      config['rope_scaling'] = scaling;
      delete config['rope_parameters'];
    });
    const { inputs, logits } = await loadGolden(folder);
    const { model } = await loadCheckpoint(folder);
    expect(await model.forward(inputs).logits.data()).toBeAllclose(logits, { atol: 2e-4, rtol: 0 });
    model.dispose();
  });

  it('reads bare-model names and the old LayerNorm names (gamma, beta)', async () => {
    await use('bert-seqcls');
    await editWeights((tensors) =>
      tensors.map((tensor) => ({
        ...tensor,
        name: tensor.name
          .replace(/^bert\./, '')
          .replace('LayerNorm.weight', 'LayerNorm.gamma')
          .replace('LayerNorm.bias', 'LayerNorm.beta'),
      })),
    );
    const { inputs, logits } = await loadGolden(folder);
    const { model } = await loadCheckpoint(folder);
    expect(await model.forward(inputs).logits.data()).toBeAllclose(logits, { atol: 2e-4, rtol: 0 });
    model.dispose();
  });

  it('puts a new seeded head on a pretrained body', async () => {
    await use('bert-mlm');
    const config = { architectures: ['BertForSequenceClassification'], num_labels: 3 };
    await expect(loadCheckpoint(folder, { config })).rejects.toMatchObject({ code: 'missing-weight' });
    const first = await loadCheckpoint(folder, { config, newHeadSeed: 4 });
    const again = await loadCheckpoint(folder, { config, newHeadSeed: 4 });
    const other = await loadCheckpoint(folder, { config, newHeadSeed: 5 });
    expect(first.newWeights).toEqual(['pooler.weight', 'pooler.bias', 'head.weight', 'head.bias']);
    const head = (checkpoint: typeof first) => checkpoint.model.weights.get('head.weight')!.data();
    expect(await head(first)).toEqual(await head(again));
    expect(await head(first)).not.toEqual(await head(other));
    const values = (await head(first)) as Float32Array;
    const spread = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    expect(spread).toBeGreaterThan(0.016);
    expect(spread).toBeLessThan(0.024);
    for (const { model } of [first, again, other]) model.dispose();
  });

  it.each<[string, string, (config: Record<string, unknown>) => void]>([
    ['unsupported-model', 'model_type', (config) => (config['model_type'] = 'mamba')],
    ['unsupported-model', 'architecture', (config) => (config['architectures'] = ['LlamaForQuestionAnswering'])],
    ['unsupported-model', 'activation', (config) => (config['hidden_act'] = 'xielu')],
    [
      'unsupported-model',
      'rope type',
      (config) => (config['rope_parameters'] = { rope_type: 'ntk-by-parts', rope_theta: 1 }),
    ],
    ['invalid-config', 'missing size', (config) => delete config['intermediate_size']],
    ['invalid-config', 'size of a wrong type', (config) => (config['hidden_size'] = '96')],
    ['invalid-config', 'zero layers', (config) => (config['num_hidden_layers'] = 0)],
    ['missing-weight', 'a layer more', (config) => (config['num_hidden_layers'] = 5)],
    ['invalid-shape', 'another vocabulary', (config) => (config['vocab_size'] = 511)],
  ])('%s: %s', async (code, _, change) => {
    await use('llama-gqa');
    await editConfig(change);
    await expect(loadCheckpoint(folder)).rejects.toMatchObject({ name: 'CheckpointError', code });
  });

  it('names missing files and broken JSON', async () => {
    await expect(loadCheckpoint(`${folder}/nowhere`)).rejects.toMatchObject({ code: 'file-not-found' });
    await use('llama-gqa');
    await rm(`${folder}/model.safetensors`);
    await expect(loadCheckpoint(folder)).rejects.toMatchObject({ code: 'file-not-found' });
    await writeFile(
      `${folder}/model.safetensors.index.json`,
      JSON.stringify({ weight_map: { x: '../../etc/x.safetensors' } }),
    );
    await expect(loadCheckpoint(folder)).rejects.toMatchObject({ code: 'invalid-config' });
    await writeFile(`${folder}/config.json`, '{');
    await expect(loadCheckpoint(folder)).rejects.toMatchObject({ code: 'invalid-config' });
  });

  it('reads what was saved last, one file over shards and shards over one file', async () => {
    await use('llama-gqa');
    const { model } = await loadCheckpoint(folder);
    for (const [value, maxShardBytes] of [
      [2, 50_000],
      [3, 5e9],
      [4, 50_000],
    ] as const) {
      tf.tidy(() => model.weights.get('norm.weight')!.assign(tf.fill([96], value)));
      const { files } = await saveCheckpoint(model, folder, { maxShardBytes });
      expect(files.includes('model.safetensors.index.json')).toBe(maxShardBytes < 5e9);
      const again = await loadCheckpoint(folder);
      expect((await again.model.weights.get('norm.weight')!.data())[0]).toBe(value);
      // transformers looks for the single file first.
      expect((await folderFiles(folder).text('model.safetensors')) === undefined).toBe(maxShardBytes < 5e9);
      again.model.dispose();
    }
    model.dispose();
  });

  it('names a shard that is missing', async () => {
    await use('llama-gqa');
    const file = await openSafetensors(await fileSource(`${folder}/model.safetensors`));
    const map = Object.fromEntries([...file.tensors.keys()].map((name) => [name, 'model-00001-of-00001.safetensors']));
    await file.close();
    await writeFile(`${folder}/model.safetensors.index.json`, JSON.stringify({ weight_map: map }));
    await expect(loadCheckpoint(folder)).rejects.toMatchObject({
      code: 'file-not-found',
      details: { shard: 'model-00001-of-00001.safetensors' },
    });
  });
});
