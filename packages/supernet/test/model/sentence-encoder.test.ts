// Sentence encoders in sentence-transformers' layout: MiniLM's embeddings, a pair of texts, sub-networks that stay what they are when saved.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { fileSource, folderFiles, memoryFiles, openCheckpoint, openSafetensors } from '@hip/checkpoints';
import { missingShared, sharedPath } from '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { smallestSubnet } from '../../src/elastic/subnets.ts';
import { extractSubnet } from '../../src/export/extract.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert } from '../helpers/tiny.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';

const missing = missingShared('goldens') || missingShared('models');

describe.skipIf(missing)(`MiniLM${missing}`, () => {
  beforeAll(() => useBackend('wasm'));

  it('embeds sentences as sentence-transformers does, and a pair as transformers', async () => {
    const folder = sharedPath('goldens', 'minilm-l6')!;
    const golden = await openSafetensors(await fileSource(`${folder}/golden.safetensors`));
    const { model, tokenizer, config } = await loadCheckpoint(sharedPath('models', 'minilm-l6')!);
    expect([config.head, config.readout, config.unitEmbedding]).toEqual(['sentence-embedding', 'mean', true]);
    const read = async (name: string) => (await golden.read(name)).data;
    const ints = async (name: string) => Int32Array.from((await read(name)) as Int32Array, Number);
    const rows = async (name: string, shape: [number, number]) => tf.tensor2d(await ints(name), shape, 'int32');
    const inputs = {
      inputIds: await rows('in.input_ids', [3, 20]),
      attentionMask: await rows('in.attention_mask', [3, 20]),
      tokenTypeIds: await rows('in.token_type_ids', [3, 20]),
    };
    const { logits, hiddenStates } = model.forward(inputs, { hiddenStates: true });
    expect(await logits.data()).toBeAllclose((await read('out.sentence_embeddings')) as Float32Array, {
      atol: 2e-5,
      rtol: 0,
    });
    for (const [layer, state] of hiddenStates!.entries()) {
      const expected = (await read(`out.hidden_states.${layer}`)) as Float32Array;
      expect(await state.data(), `layer ${layer}`).toBeAllclose(expected, { atol: 2e-4, rtol: 0 });
    }
    const { sentences, pair } = JSON.parse(await readFile(`${folder}/sentences.json`, 'utf8')) as {
      sentences: string[];
      pair: [string, string];
    };
    const ids = await ints('in.input_ids');
    const real = [...ids.subarray(0, 20)].filter((_, i) => i < tokenizer!.encode(sentences[0]!).length);
    expect(tokenizer!.encode(sentences[0]!)).toEqual(real);
    const both = tokenizer!.encodePair(...pair);
    expect(both.ids).toEqual([...(await ints('pair.input_ids'))]);
    expect(both.typeIds).toEqual([...(await ints('pair.token_type_ids'))]);
    const ofPair = model.forward(
      { inputIds: tf.tensor2d(both.ids, [1, 18], 'int32'), tokenTypeIds: tf.tensor2d(both.typeIds, [1, 18], 'int32') },
      { hiddenStates: true },
    );
    const last = (await read('pair.last_hidden_state')) as Float32Array;
    expect(await ofPair.hiddenStates!.at(-1)!.data()).toBeAllclose(last, { atol: 2e-4, rtol: 0 });
    await golden.close();
    model.dispose();
  });
});

describe('the layout of sentence-transformers', () => {
  beforeAll(() => useBackend('cpu'));

  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const module = (idx: number, kind: string, path: string) => ({
    idx,
    name: String(idx),
    path,
    type: `sentence_transformers.models.${kind}`,
  });

  async function folder(pooling: object, modules: readonly string[]): Promise<Map<string, Uint8Array>> {
    const model = tinyBert(3, { architectures: ['BertModel'], num_labels: undefined, id2label: undefined });
    const files = new Map<string, Uint8Array>([
      ['config.json', json(model.config.raw)],
      [
        'modules.json',
        json([
          module(0, 'Transformer', ''),
          module(1, 'Pooling', '1_Pooling'),
          ...modules.map((kind, i) => module(i + 2, kind, `${i + 2}_${kind}`)),
        ]),
      ],
      ['1_Pooling/config.json', json(pooling)],
    ]);
    const out = await mkdtemp(join(tmpdir(), 'supernet-'));
    await extractSubnet(model, undefined, out);
    files.set('model.safetensors', await readFile(join(out, 'model.safetensors')));
    await rm(out, { recursive: true });
    model.dispose();
    return files;
  }

  it('a sub-network is saved as a sentence encoder', async () => {
    const files = await folder({ pooling_mode_cls_token: false, pooling_mode_mean_tokens: true }, ['Normalize']);
    const { model } = await loadCheckpoint(memoryFiles(files));
    const inputs = {
      inputIds: tf.tensor2d([5, 6, 7, 5, 6, 0], [2, 3], 'int32'),
      attentionMask: tf.tensor2d([1, 1, 1, 1, 1, 0], [2, 3], 'int32'),
    };
    const subnet = smallestSubnet(model.space);
    const expected = (await model.forward(inputs, { subnet }).logits.data()) as Float32Array;
    expect(Math.hypot(...expected.subarray(0, 16))).toBeCloseTo(1, 5);
    const masked = await model.forward(inputs, { subnet, mode: 'masked' }).logits.data();
    expect(masked).toBeAllclose(expected, { atol: 1e-5, rtol: 0 });
    const out = await mkdtemp(join(tmpdir(), 'supernet-'));
    const report = await extractSubnet(model, subnet, out);
    expect(report.files).toEqual(expect.arrayContaining(['modules.json', '1_Pooling/config.json']));
    expect(await folderFiles(out).text('1_Pooling/config.json')).toContain('pooling_mode_mean_tokens');
    const again = await loadCheckpoint(out);
    expect(again.config.head).toBe('sentence-embedding');
    expect(await again.model.forward(inputs).logits.data()).toBeAllclose(expected, { atol: 1e-5, rtol: 0 });
    await rm(out, { recursive: true });
    for (const each of [model, again.model as TransformerModel]) each.dispose();
  });

  it.each([
    [{ pooling_mode: 'cls' }, [], { head: 'sentence-embedding', readout: 'first', unitEmbedding: false }],
    [{ pooling_mode_max_tokens: true }, [], { head: 'none' }],
    [{ pooling_mode_mean_tokens: true }, ['Dense'], { head: 'none' }],
  ] as const)('pooling %o and %o', async (pooling, modules, expected) => {
    const files = await folder(pooling, modules);
    await using checkpoint = await openCheckpoint(memoryFiles(files));
    expect(checkpoint.config).toMatchObject(expected);
    // With a head of its own it is what its architecture says.
    const config = { architectures: ['BertForSequenceClassification'], num_labels: 2 };
    await using other = await openCheckpoint(memoryFiles(files), { config });
    expect(other.config.head).toBe('sequence-classification');
  });
});
