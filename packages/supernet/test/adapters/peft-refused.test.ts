// Folders that are not read: other computations, other bases, files that are missing; each in words that say what to do.
import * as tf from '@tensorflow/tfjs';
import {
  memoryFiles,
  openSafetensors,
  writeSafetensors,
  type CheckpointFiles,
  type TensorToWrite,
} from '@hip/checkpoints';
import '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { addAdapters } from '../../src/adapters/add.ts';
import { loadAdapters } from '../../src/adapters/peft/load.ts';
import { renderAdapters } from '../../src/adapters/peft/save.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyLlama } from '../helpers/tiny.ts';

type Rendered = Awaited<ReturnType<typeof renderAdapters>>['files'];

const bytesOf = (files: Rendered): Map<string, Uint8Array> =>
  new Map(files.map(({ name, chunks }) => [name, new Uint8Array(Buffer.concat([...chunks]))]));

const configOf = (files: ReadonlyMap<string, Uint8Array>) =>
  JSON.parse(new TextDecoder().decode(files.get('adapter_config.json'))) as Record<string, unknown>;

describe('what is refused', () => {
  beforeAll(() => useBackend('cpu'));

  /** A folder as written, with other settings or tensors. */
  async function changed(
    settings: Readonly<Record<string, unknown>>,
    tensors: (written: TensorToWrite[]) => TensorToWrite[] = (written) => written,
  ): Promise<CheckpointFiles> {
    const model = addAdapters(tinyLlama(), { rank: 2 });
    const files = bytesOf((await renderAdapters(model)).files);
    const file = await openSafetensors(files.get('adapter_model.safetensors')!);
    const written = await Promise.all([...file.tensors.keys()].map((name) => file.read(name)));
    model.dispose();
    return memoryFiles(
      new Map([
        ['adapter_config.json', new TextEncoder().encode(JSON.stringify({ ...configOf(files), ...settings }))],
        ['adapter_model.safetensors', writeSafetensors(tensors(written))],
      ]),
    );
  }

  it.each<[Readonly<Record<string, unknown>>, string, RegExp]>([
    [{ peft_type: 'LOHA' }, 'unsupported', /peft_type = "LOHA"/],
    [{ use_dora: true }, 'unsupported', /use_dora = true is not supported, merge it by peft/],
    [{ use_qalora: true }, 'unsupported', /use_qalora/],
    [{ bias: 'lora_only' }, 'unsupported', /bias = "lora_only"/],
    [{ lora_bias: true }, 'unsupported', /lora_bias/],
    [{ init_lora_weights: 'pissa' }, 'unsupported', /init_lora_weights = "pissa".*changes the base/],
    [{ trainable_token_indices: [1] }, 'unsupported', /trainable_token_indices/],
    [{ rank_pattern: { '(a+)+$': 2 } }, 'unsupported', /rank_pattern = "\(a\+\)\+\$".*name the modules/],
    [{ r: 0 }, 'invalid-config', /adapter_config\.json: r /],
    [{ lora_alpha: 'x' }, 'invalid-config', /lora_alpha/],
    [{ r: 3 }, 'invalid-shape', /has shape \[2, 16\].*imply \[3, 16\]/],
  ])('%j', async (settings, code, message) => {
    const base = tinyLlama();
    const refused = loadAdapters(base, await changed(settings));
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    base.dispose();
  });

  const rename = (from: string, to: string) => (written: TensorToWrite[]) =>
    written.map((tensor) => ({ ...tensor, name: tensor.name.replace(from, to) }));

  it.each<[string, (written: TensorToWrite[]) => TensorToWrite[], string, RegExp]>([
    [
      'a module that there is not',
      rename('layers.1.', 'layers.7.'),
      'unsupported',
      /model\.layers\.7\.self_attn\.q_proj has an adapter/,
    ],
    [
      'a tensor that is none',
      (all) => [...all, { name: 'base_model.model.x.bias', shape: [1], data: new Float32Array(1) }],
      'unsupported',
      /x\.bias: a llama model has no such tensor/,
    ],
    ['A alone', (all) => all.filter(({ name }) => !name.includes('lora_B')), 'missing-weight', /lora_B/],
    ['B alone', (all) => all.filter(({ name }) => !name.includes('lora_A')), 'missing-weight', /no lora_A beside it/],
  ])('%s', async (_, tensors, code, message) => {
    const base = tinyLlama();
    const refused = loadAdapters(base, await changed({}, tensors));
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    base.dispose();
  });

  it('a folder without either file, and one of another base', async () => {
    const base = tinyLlama();
    await expect(loadAdapters(base, memoryFiles(new Map()))).rejects.toMatchObject({ code: 'file-not-found' });
    const config = new TextEncoder().encode('{"peft_type":"LORA","r":2,"lora_alpha":2}');
    const pickled = memoryFiles(new Map([['adapter_config.json', config]]));
    await expect(loadAdapters(base, pickled)).rejects.toThrow(/safe_serialization=True/);
    const wide = tinyLlama(1, { hidden_size: 24, num_attention_heads: 6, num_key_value_heads: 6 });
    const files = memoryFiles(bytesOf((await renderAdapters(addAdapters(wide))).files));
    await expect(loadAdapters(base, files)).rejects.toMatchObject({ code: 'invalid-shape' });
    for (const each of [base, wide]) each.dispose();
  });

  it('nothing is left behind', async () => {
    const base = tinyLlama();
    const files = await changed({ r: 3 });
    const held = tf.memory().numTensors;
    await expect(loadAdapters(base, files)).rejects.toThrow(/has shape/);
    expect(tf.memory().numTensors).toBe(held);
    base.dispose();
  });

  it('rank-stabilised scales are α/√r', async () => {
    const base = tinyLlama();
    const model = await loadAdapters(base, await changed({ use_rslora: true, lora_alpha: 6 }));
    for (const { scale } of model.adapters!.products) expect(scale).toBeCloseTo(6 / Math.sqrt(2), 12);
    for (const each of [model, base]) each.dispose();
  });
});
