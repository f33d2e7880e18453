// What extraction refuses before it writes anything, and what it leaves in a folder that held another save.
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { memoryFiles } from '@hip/checkpoints';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { fullSubnet, smallestSubnet } from '../../src/elastic/subnets.ts';
import { extractModel } from '../../src/export/values.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { extractSubnet, renderCheckpoint, saveCheckpoint } from '../../src/export/extract.ts';
import type { ExtractOptions } from '../../src/export/extract.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama, weightsOf } from '../helpers/tiny.ts';

describe('extractSubnet', () => {
  let folder = '';
  beforeAll(async () => {
    await useBackend('wasm');
    folder = await mkdtemp(join(tmpdir(), 'supernet-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ['dtype', 'F64'],
    ['dtype', 'float16'],
    ['dtype', null],
    ['maxShardBytes', Number.NaN],
    ['maxShardBytes', 0],
    ['maxShardBytes', -1],
  ])('names an option that is none: %s %s', async (name, value) => {
    const model = tinyLlama();
    const options = { [name]: value } as ExtractOptions;
    const wrong = { code: 'invalid-option', details: { [name]: value } };
    const out = join(folder, 'refused');
    await expect(extractSubnet(model, smallestSubnet(model.space), out, options)).rejects.toMatchObject(wrong);
    await expect(saveCheckpoint(model, out, options)).rejects.toMatchObject(wrong);
    await expect(renderCheckpoint(model, undefined, options)).rejects.toMatchObject(wrong);
    expect(await readdir(folder)).not.toContain('refused');
    model.dispose();
  });

  it('writes fused tensors of unequal layers and reads them back', async () => {
    const model = tinyLlama(3, { model_type: 'phi3', architectures: ['Phi3ForCausalLM'], tie_word_embeddings: false });
    const subnet = { layers: 2, heads: [2, 4], ffn: [24, 7] };
    const out = join(folder, 'fused');
    const { layout } = await extractSubnet(model, subnet, out);
    const small = await extractModel(model, subnet);
    const again = (await loadCheckpoint(out)).model;
    expect([layout, again.config.family, again.config.layerHeads]).toEqual(['per-layer', 'phi3', [2, 4]]);
    expect(await weightsOf(again as TransformerModel)).toEqual(await weightsOf(small as TransformerModel));
    for (const each of [model, small, again]) each.dispose();
  });

  it('names the tensor that float16 cannot hold, and keeps the save that was there', async () => {
    const model = tinyLlama();
    const out = join(folder, 'large');
    await saveCheckpoint(model, out);
    const held = () => Promise.all(['config.json', 'model.safetensors'].map((name) => readFile(join(out, name))));
    const before = await held();
    const weight = model.weights.get('layers.1.ffn.up.weight')!;
    tf.tidy(() => weight.assign(tf.mul(tf.onesLike(weight), -1e6)));
    const small = { ...smallestSubnet(model.space), layers: 2 };
    await expect(extractSubnet(model, small, out, { dtype: 'F16' })).rejects.toMatchObject({
      code: 'unsupported-dtype',
      details: { name: 'model.layers.1.mlp.up_proj.weight', dtype: 'F16', largest: 1e6 },
    });
    expect(await held()).toEqual(before);
    expect(await readdir(out)).toHaveLength(2);
    // A sub-network without that layer has no such weight.
    await saveCheckpoint(model, out, { dtype: 'BF16' });
    await extractSubnet(model, { ...small, layers: 1 }, out, { dtype: 'F16' });
    model.dispose();
  });

  it('says how many channels a sentence encoder pools', async () => {
    const pooling = { word_embedding_dimension: 16, pooling_mode_mean_tokens: true };
    const modules = ['', '1_Pooling'].map((path, i) => ({ path, type: `x.${['Transformer', 'Pooling'][i]}` }));
    const base = tinyBert(1, { architectures: ['BertModel'] });
    const saved = await renderCheckpoint(base);
    const texts = { 'modules.json': modules, '1_Pooling/config.json': pooling };
    const files = new Map([
      ...saved.files.map(({ name, chunks }) => [name, new Uint8Array(Buffer.concat([...chunks]))] as const),
      ...Object.entries(texts).map(([name, json]) => [name, new TextEncoder().encode(JSON.stringify(json))] as const),
    ]);
    const { model } = await loadCheckpoint(memoryFiles(files), { space: { hidden: [8, 16] } });
    const pooled = async (hidden: number) => {
      const rendered = await renderCheckpoint(model, { ...fullSubnet(model.space), hidden });
      const file = rendered.files.find(({ name }) => name === '1_Pooling/config.json')!;
      return JSON.parse(Buffer.concat([...file.chunks]).toString()) as unknown;
    };
    expect(model.config.head).toBe('sentence-embedding');
    expect([await pooled(16), await pooled(8)]).toEqual([pooling, { ...pooling, word_embedding_dimension: 8 }]);
    for (const each of [base, model]) each.dispose();
  });

  it('says where a file is in the way', async () => {
    const model = tinyLlama();
    const file = join(folder, 'file');
    await writeFile(file, 'mine');
    for (const out of [file, join(file, 'below')]) {
      await expect(saveCheckpoint(model, out)).rejects.toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining(out),
        details: { folder: out },
      });
    }
    expect(await readFile(file, 'utf8')).toBe('mine');
    model.dispose();
  });

  it('of an earlier save nothing is left but what it did not write', async () => {
    const model = tinyLlama();
    const out = join(folder, 'again');
    const shards = async () => (await readdir(out)).filter((name) => name.endsWith('.safetensors')).length;
    const { files } = await saveCheckpoint(model, out, { maxShardBytes: 1 });
    expect(await shards()).toBeGreaterThan(10);
    expect((await readdir(out)).toSorted()).toEqual(files.toSorted());
    const others = [
      'notes.txt',
      'adapter_model.safetensors',
      'model-1-of-2.safetensors',
      'model-00001-of-00002.safetensors.bak',
      'my-model-00001-of-00002.safetensors',
    ];
    for (const name of others) await writeFile(join(out, name), 'mine');
    for (const maxShardBytes of [4000, undefined, 3000]) {
      const report = await saveCheckpoint(model, out, { maxShardBytes });
      expect((await readdir(out)).toSorted()).toEqual([...report.files, ...others].toSorted());
      const again = await loadCheckpoint(out);
      expect(await weightsOf(again.model as typeof model)).toEqual(await weightsOf(model));
      again.model.dispose();
    }
    model.dispose();
  });
});
