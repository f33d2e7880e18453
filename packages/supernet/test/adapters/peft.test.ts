// Adapters as peft's folders: what peft computed with its own, the way there and back of every family, bytes as counted, what is refused.
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileSource, memoryFiles, openSafetensors } from '@hip/checkpoints';
import '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { countAdapters } from '../../src/adapters/count.ts';
import { countAdapterBytes } from '../../src/adapters/peft/layout.ts';
import { loadAdapters } from '../../src/adapters/peft/load.ts';
import { renderAdapters, saveAdapters } from '../../src/adapters/peft/save.ts';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { sampleSubnet, subnetKey } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import { extractModel } from '../../src/export/values.ts';
import type { ElasticModel, ModelInputs } from '../../src/model/types.ts';
import { SeededRandom } from '../../src/random.ts';
import { adapted } from '../helpers/adapted.ts';
import { useBackend } from '../helpers/backend.ts';
import { ELASTIC_MODELS } from '../helpers/elastic-models.ts';
import { goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';
import { tinyBert, tinyGpt2, tinyInputs, tinyLlama, tinyRoberta, withSpace } from '../helpers/tiny.ts';

const fixture = (name: string) => join(import.meta.dirname, '../fixtures/peft', name);

async function answer(model: ElasticModel, inputs: ModelInputs, subnet?: SubnetConfig): Promise<Float32Array> {
  const { logits } = model.forward(inputs, subnet ? { subnet } : {});
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
}

type Rendered = Awaited<ReturnType<typeof renderAdapters>>['files'];

const bytesOf = (files: Rendered): Map<string, Uint8Array> =>
  new Map(files.map(({ name, chunks }) => [name, new Uint8Array(Buffer.concat([...chunks]))]));

const configOf = (files: ReadonlyMap<string, Uint8Array>) =>
  JSON.parse(new TextDecoder().decode(files.get('adapter_config.json'))) as Record<string, unknown>;

describe(`folders of peft${missingGolden}`, () => {
  beforeAll(() => useBackend('wasm'));

  it.skipIf(!goldenPath('bert-seqcls')).each([
    ['bert', 'bert-seqcls'],
    ['llama', 'llama-gqa'],
    ['gpt2', 'gpt2'],
    ['phi3', 'phi3'],
  ])('%s computes what peft did, merged too', async (name, golden) => {
    const { inputs } = await loadGolden(goldenPath(golden)!);
    const { model: base } = await loadCheckpoint(goldenPath(golden)!);
    const file = await openSafetensors(await fileSource(join(fixture(name), 'golden.safetensors')));
    const { data: expected } = await file.read('out.logits');
    await file.close();
    const model = await loadAdapters(base, fixture(name));
    // Of a language model the last four positions.
    const lastOf = (logits: Float32Array) => {
      if (base.config.head !== 'causal-lm') return logits;
      const [rows, length] = inputs.inputIds!.shape;
      const row = logits.length / rows;
      return Float32Array.from({ length: expected.length }, (_, i) => {
        const four = expected.length / rows;
        return logits[Math.floor(i / four) * row + (row * (length - 4)) / length + (i % four)]!;
      });
    };
    const tolerance = { atol: 1e-4, rtol: 0 };
    expect(lastOf(await answer(model, inputs))).toBeAllclose(expected, tolerance);
    const merged = await extractModel(model);
    expect(lastOf(await answer(merged, inputs))).toBeAllclose(expected, tolerance);
    for (const each of [model, merged, base]) each.dispose();
  });

  it.skipIf(!goldenPath('bert-seqcls'))(
    'ranks, scales and heads come from patterns, tensors and modules_to_save',
    async () => {
      const { model: base } = await loadCheckpoint(goldenPath('bert-seqcls')!);
      const model = await loadAdapters(base, fixture('bert'), { ranks: [0, 2, 4] });
      const { products, replaced } = model.adapters!;
      const of = (name: string) => products.find((product) => product.name === name);
      expect(of('layers.0.attention.query')).toMatchObject({ rank: 2, scale: 6 / 2 });
      expect(of('layers.1.attention.query')).toMatchObject({ rank: 4, scale: 6 / 4 });
      expect(of('layers.1.attention.value')).toMatchObject({ rank: 4, scale: 5 / 4 });
      expect(of('layers.1.ffn.down')).toMatchObject({ rank: 3, scale: 6 / 3 });
      expect(of('layers.0.ffn.up')).toBeUndefined();
      expect(replaced.toSorted()).toEqual(['head.bias', 'head.weight']);
      expect(model.space).toMatchObject({ ranks: [0, 2, 4], fullRank: 4, adaptedBlocks: ['attention', 'ffn'] });
      await expect(loadAdapters(base, fixture('bert'), { ranks: [8] })).rejects.toThrow(
        /ranks has 8: expected integers 0…4/,
      );
      for (const each of [model, base]) each.dispose();
    },
  );
});

describe.each(Object.entries(ELASTIC_MODELS))('adapters of %s', (_, [create, choices]) => {
  beforeAll(() => useBackend('wasm'));

  it('are written and read back to the same numbers, beside the sub-network that they are of', async () => {
    const start = create();
    const base = await withSpace(start, choices);
    const model = adapted(base);
    const inputs = tinyInputs(base);
    const random = new SeededRandom(14);
    for (let round = 0; round < 3; round++) {
      const subnet = round === 0 ? undefined : sampleSubnet(model.space, () => random.next());
      const key = subnet ? subnetKey(subnet) : 'all';
      const { files, report } = await renderAdapters(model, subnet);
      const written = bytesOf(files);
      expect(countAdapterBytes(model, subnet), key).toBe(written.get('adapter_model.safetensors')!.byteLength);
      const counted = countAdapters(model, subnet);
      // Products that are fused have zeros between them.
      const isFused = ['gpt2', 'phi3', 'modernbert'].includes(model.family);
      const zeros = report.parameters - counted.parameters;
      expect(isFused ? zeros >= 0 : zeros === 0, key).toBe(true);
      expect(report.bytes, key).toBe(4 * (report.parameters + counted.replaced));
      const { ranks: _ranks, ...plain } = report.subnet;
      const narrow = await extractModel(base, plain);
      const again = await loadAdapters(narrow, memoryFiles(written));
      expect(await answer(again, inputs), key).toBeAllclose(await answer(model, inputs, subnet), {
        atol: 1e-5,
        rtol: 0,
      });
      expect(countAdapters(again), key).toEqual(counted);
      for (const each of [again, narrow]) each.dispose();
    }
    for (const each of [model, base, start]) each.dispose();
  });
});

describe('adapter_config.json', () => {
  beforeAll(() => useBackend('cpu'));

  it('names every module whole, and where ranks differ says so', async () => {
    const model = adapted(tinyLlama(), { targets: ['query', 'down'], rank: 4, alpha: 8, ranks: [0, 2, 4] });
    const layers = { layers: 2, heads: [4, 4], ffn: [24, 24] };
    const { files } = await renderAdapters(model, { ...layers, ranks: [4, 2] }, { base: 'me/tiny' });
    expect(configOf(bytesOf(files))).toEqual({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: 'me/tiny',
      inference_mode: true,
      r: 4,
      lora_alpha: 8,
      rank_pattern: { 'model.layers.1.self_attn.q_proj': 2, 'model.layers.1.mlp.down_proj': 2 },
      alpha_pattern: { 'model.layers.1.self_attn.q_proj': 4, 'model.layers.1.mlp.down_proj': 4 },
      target_modules: [
        'model.layers.0.self_attn.q_proj',
        'model.layers.0.mlp.down_proj',
        'model.layers.1.self_attn.q_proj',
        'model.layers.1.mlp.down_proj',
      ],
      modules_to_save: null,
      fan_in_fan_out: false,
      lora_dropout: 0,
      bias: 'none',
      init_lora_weights: true,
      use_rslora: false,
      use_dora: false,
    });
    const first = await renderAdapters(model, { ...layers, ranks: [0, 4] });
    expect(configOf(bytesOf(first.files))['target_modules']).toEqual([
      'model.layers.1.self_attn.q_proj',
      'model.layers.1.mlp.down_proj',
    ]);
    model.dispose();
  });

  it('lists the head that a classifier has of its own, and Conv1D', async () => {
    const bert = await renderAdapters(adapted(tinyBert()));
    expect(configOf(bytesOf(bert.files))).toMatchObject({
      task_type: 'SEQ_CLS',
      modules_to_save: ['bert.pooler.dense', 'classifier'],
    });
    // A classifier of several layers is one module to peft.
    const roberta = await renderAdapters(adapted(tinyRoberta()));
    expect(configOf(bytesOf(roberta.files))).toMatchObject({ modules_to_save: ['classifier'] });
    const gpt2 = await renderAdapters(adapted(tinyGpt2(), { targets: ['query', 'value'] }));
    expect(configOf(bytesOf(gpt2.files))).toMatchObject({
      fan_in_fan_out: true,
      r: 8,
      target_modules: expect.arrayContaining(['transformer.h.0.attn.c_attn']),
    });
  });

  it('halves are written as halves, in a folder of two files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'adapters-'));
    const base = tinyLlama();
    const model = adapted(base);
    const report = await saveAdapters(model, undefined, join(folder, 'a'), { dtype: 'F16' });
    expect((await readdir(join(folder, 'a'))).toSorted()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    expect(report.bytes).toBe(2 * countAdapters(model).parameters);
    const { byteLength } = await readFile(join(folder, 'a/adapter_model.safetensors'));
    expect(byteLength).toBe(countAdapterBytes(model, undefined, { dtype: 'F16' }));
    const again = await loadAdapters(base, join(folder, 'a'));
    const inputs = tinyInputs(base);
    expect(await answer(again, inputs)).toBeAllclose(await answer(model, inputs), { atol: 2e-3, rtol: 0 });
    await rm(folder, { recursive: true });
  });

  it('is not written of a model without adapters', async () => {
    await expect(renderAdapters(tinyLlama())).rejects.toMatchObject({ code: 'invalid-option' });
  });
});
