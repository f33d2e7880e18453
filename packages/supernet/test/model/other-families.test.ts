// Families and variants without goldens against the naive oracle: RoBERTa, Qwen3, Qwen2 with a sliding window, DeiT, BEiT-3.
import * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { findFamily, memoryFiles, openSafetensors } from '@hip/checkpoints';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { sampleSubnet } from '../../src/elastic/subnets.ts';
import { exportOnnx } from '../../src/export/onnx.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import { readRope } from '@hip/checkpoints/families';
import { denseAttention } from '../../src/model/attention/dense.ts';
import type { ElasticModel, ModelInputs } from '../../src/model/types.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { checkpointFiles } from '../helpers/golden.ts';
import { Tensors, attend, gelu, plus, rotate, silu, tanh } from '../helpers/reference.ts';
import type { Rows } from '../helpers/reference.ts';
import { tinyLlama } from '../helpers/tiny.ts';

const D = 24;
const HEADS = 4;
const FFN = 40;
const LAYERS = 3;
const IDS = [5, 9, 2, 17, 11, 3, 7, 30, 30];

function load(config: Record<string, unknown>, tensors: Tensors) {
  return loadCheckpoint(checkpointFiles(config, tensors.list));
}

const idTensor = (ids: readonly number[]) => tf.tensor2d([[...ids]], [1, ids.length], 'int32');

/** Masked = sliced = extracted = ONNX for a random sub-network. */
async function checkSubnets(model: ElasticModel, inputs: ModelInputs, onnx: Record<string, ort.Tensor>): Promise<void> {
  let state = 11;
  const subnet = sampleSubnet(model.space, () => (state = (state * 16807) % 2147483647) / 2147483647);
  const sliced = await model.forward(inputs, { subnet }).logits.data();
  const masked = await model.forward(inputs, { subnet, mode: 'masked' }).logits.data();
  expect(masked).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
  const { files } = await renderCheckpoint(model, subnet);
  const bytes = files.map(({ name, chunks }) => [name, Buffer.concat([...chunks])] as const);
  const again = await loadCheckpoint(memoryFiles(new Map(bytes)));
  expect(await again.model.forward(inputs).logits.data()).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
  const session = await ort.InferenceSession.create(await exportOnnx(model, subnet));
  const output = await session.run(onnx);
  expect(output['logits']!.data as Float32Array).toBeAllclose(sliced, { atol: 1e-4, rtol: 0 });
}

const int64 = (values: readonly number[]) =>
  new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

describe('Qwen3 and Qwen2', () => {
  beforeAll(() => useBackend('wasm'));

  const decoder = (type: 'qwen2' | 'qwen3', headSize: number) => {
    const t = new Tensors(type === 'qwen2' ? 5 : 6);
    const qwen3 = type === 'qwen3';
    t.add('model.embed_tokens.weight', [40, D], 1);
    for (let l = 0; l < LAYERS; l++) {
      const at = `model.layers.${l}`;
      t.norm(`${at}.input_layernorm`, D, false);
      t.linear(`${at}.self_attn.q_proj`, D, HEADS * headSize, !qwen3);
      t.linear(`${at}.self_attn.k_proj`, D, 2 * headSize, !qwen3);
      t.linear(`${at}.self_attn.v_proj`, D, 2 * headSize, !qwen3);
      t.linear(`${at}.self_attn.o_proj`, HEADS * headSize, D, false);
      if (qwen3) for (const name of ['q_norm', 'k_norm']) t.norm(`${at}.self_attn.${name}`, headSize, false);
      t.norm(`${at}.post_attention_layernorm`, D, false);
      t.linear(`${at}.mlp.gate_proj`, D, FFN, false);
      t.linear(`${at}.mlp.up_proj`, D, FFN, false);
      t.linear(`${at}.mlp.down_proj`, FFN, D, false);
    }
    t.norm('model.norm', D, false);
    t.linear('lm_head', D, 40, false);
    return t;
  };

  /** Reference logits; `window(layer)` is the sliding window or Infinity. */
  const reference = (
    t: Tensors,
    headSize: number,
    qkNorm: boolean,
    window: (layer: number) => number,
    theta = 10_000,
  ): Rows => {
    const table = t.get('model.embed_tokens.weight');
    let x: Rows = IDS.map((id) => Array.from(table.subarray(id * D, (id + 1) * D)));
    const perHead = (name: string, rows: Rows): Rows =>
      rows.map((row) => {
        const heads = Array.from({ length: row.length / headSize }, (_, h) =>
          row.slice(h * headSize, (h + 1) * headSize),
        );
        return (qkNorm ? t.rmsNorm(name, heads, 1e-6) : heads).flat();
      });
    for (let l = 0; l < LAYERS; l++) {
      const at = `model.layers.${l}`;
      const n = t.rmsNorm(`${at}.input_layernorm`, x, 1e-6);
      const q = rotate(perHead(`${at}.self_attn.q_norm`, t.apply(`${at}.self_attn.q_proj`, n)), HEADS, theta);
      const k = rotate(perHead(`${at}.self_attn.k_norm`, t.apply(`${at}.self_attn.k_proj`, n)), 2, theta);
      const v = t.apply(`${at}.self_attn.v_proj`, n);
      const mixed = attend(q, k, v, HEADS, 2, (i, j) => j <= i && i - j < window(l));
      x = plus(x, t.apply(`${at}.self_attn.o_proj`, mixed));
      const m = t.rmsNorm(`${at}.post_attention_layernorm`, x, 1e-6);
      const [gate, up] = [t.apply(`${at}.mlp.gate_proj`, m), t.apply(`${at}.mlp.up_proj`, m)];
      x = plus(
        x,
        t.apply(
          `${at}.mlp.down_proj`,
          gate.map((row, r) => row.map((g, c) => silu(g) * up[r]![c]!)),
        ),
      );
    }
    return t.apply('lm_head', t.rmsNorm('model.norm', x, 1e-6));
  };

  const config = {
    hidden_size: D,
    num_attention_heads: HEADS,
    num_key_value_heads: 2,
    num_hidden_layers: LAYERS,
    intermediate_size: FFN,
    vocab_size: 40,
    max_position_embeddings: 64,
    tie_word_embeddings: false,
  };
  const qwen3 = { ...config, model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], head_dim: 10 };

  it('Qwen3: q/k norm, head_dim ≠ hidden/heads, 4.x configuration', async () => {
    const t = decoder('qwen3', 10);
    const raw = {
      ...qwen3,
      rope_theta: 10_000,
      rope_scaling: null,
    };
    const { model } = await load(raw, t);
    const inputs = { inputIds: idTensor(IDS) };
    const expected = reference(t, 10, true, () => Infinity).flat();
    expect(await model.forward(inputs).logits.data()).toBeAllclose(expected, { atol: 2e-5, rtol: 1e-5 });
    await checkSubnets(model, inputs, { input_ids: int64(IDS) });
  });

  it('Qwen3 beyond its positions with dynamic NTK scaling, in ONNX too', async () => {
    const t = decoder('qwen3', 10);
    const raw = {
      ...qwen3,
      max_position_embeddings: 6,
      rope_parameters: { rope_type: 'dynamic', factor: 3, rope_theta: 10_000 },
    };
    const { model } = await load(raw, t);
    for (const ids of [IDS, IDS.slice(0, 5)]) {
      const inputs = { inputIds: idTensor(ids) };
      await checkSubnets(model, inputs, { input_ids: int64(ids) });
    }
    // 9 tokens of 6: θ grows by (3·9/6 − 2)^(10/8).
    const expected = reference(t, 10, true, () => Infinity, 10_000 * 2.5 ** 1.25).flat();
    const logits = await model.forward({ inputIds: idTensor(IDS) }).logits.data();
    expect(logits).toBeAllclose(expected, { atol: 2e-5, rtol: 1e-5 });
  });

  it('a tied configuration over a checkpoint with a head of its own uses that head', async () => {
    const t = decoder('qwen3', 10);
    const raw = {
      ...qwen3,
      tie_word_embeddings: true,
    };
    const { model } = await load(raw, t);
    const expected = reference(t, 10, true, () => Infinity).flat();
    const inputs = { inputIds: idTensor(IDS) };
    expect(await model.forward(inputs).logits.data()).toBeAllclose(expected, { atol: 2e-5, rtol: 1e-5 });
    const { files } = await renderCheckpoint(model);
    const json = JSON.parse(Buffer.concat([...files.find(({ name }) => name === 'config.json')!.chunks]).toString());
    expect(json).toMatchObject({ tie_word_embeddings: false });
    // The same values stored twice are one tied weight.
    const same = { name: 'lm_head.weight', shape: [40, D], data: t.get('model.embed_tokens.weight') };
    const twice = await loadCheckpoint(
      checkpointFiles(raw, [...t.list.filter(({ name }) => name !== same.name), same]),
    );
    expect(twice.config.tiedEmbeddings).toBe(true);
    expect(twice.model.weights.has('head.weight')).toBe(false);
    // Stored once, but under the head's name.
    const once = await loadCheckpoint(
      checkpointFiles(raw, [
        ...t.list.filter(({ name }) => name !== same.name && name !== 'model.embed_tokens.weight'),
        same,
      ]),
    );
    expect(await once.model.weights.get('embeddings.token.weight')!.data()).toEqual(same.data);
    expect(once.config.tiedEmbeddings).toBe(true);
  });

  it('Qwen2 with a sliding window in its upper layers, 5.x configuration', async () => {
    const t = decoder('qwen2', 6);
    const raw = {
      ...config,
      model_type: 'qwen2',
      architectures: ['Qwen2ForCausalLM'],
      use_sliding_window: true,
      sliding_window: 4,
      max_window_layers: 1,
      layer_types: ['full_attention', 'sliding_attention', 'sliding_attention'],
      rope_parameters: { rope_theta: 10_000, rope_type: 'default' },
    };
    const { model } = await load(raw, t);
    const inputs = { inputIds: idTensor(IDS) };
    const expected = reference(t, 6, false, (layer) => (layer >= 1 ? 4 : Infinity)).flat();
    expect(await model.forward(inputs).logits.data()).toBeAllclose(expected, { atol: 2e-5, rtol: 1e-5 });
    await checkSubnets(model, inputs, { input_ids: int64(IDS) });
  });
});

describe('what configurations leave open', () => {
  beforeAll(() => useBackend('wasm'));

  it('rope_scaling added to a 5.x configuration replaces rope_parameters', () => {
    const raw = { rope_parameters: { rope_type: 'default', rope_theta: 100 }, rope_theta: 100 };
    const { inverseFrequencies } = readRope({ ...raw, rope_scaling: { type: 'linear', factor: 2 } }, 4, 64);
    expect(inverseFrequencies).toBeAllclose([1 / 2, 1 / 10 / 2], { atol: 0, rtol: 1e-6 });
    expect(readRope({ ...raw, rope_scaling: null }, 4, 64).inverseFrequencies[0]).toBe(1);
  });

  it('sliding layers without sliding_window slide by 4096; null is full attention', () => {
    const raw = {
      model_type: 'qwen2',
      architectures: ['Qwen2ForCausalLM'],
      hidden_size: 8,
      num_attention_heads: 2,
      num_hidden_layers: 3,
      intermediate_size: 8,
      vocab_size: 8,
      use_sliding_window: true,
      max_window_layers: 2,
    };
    expect(findFamily(raw).readConfig(raw).slidingWindows).toEqual([0, 0, 4096]);
    expect(findFamily(raw).readConfig({ ...raw, sliding_window: null }).slidingWindows).toBeUndefined();
    expect(() => findFamily(raw).readConfig({ ...raw, num_attention_heads: 4, num_key_value_heads: 3 })).toThrow(
      expect.objectContaining({ code: 'invalid-config' }) as Error,
    );
  });

  it('a Llama whose heads do not divide the hidden size is not said to be loadable by transformers', async () => {
    const layouts: string[] = [];
    for (const overrides of [{}, { model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'] }]) {
      const model = tinyLlama(4, { num_attention_heads: 4, num_key_value_heads: 4, ...overrides });
      for (const heads of [3, 2]) {
        const { files, report } = await renderCheckpoint(model, { layers: 2, heads: [heads, heads], ffn: [24, 24] });
        layouts.push(report.layout);
        const bytes = files.map(({ name, chunks }) => [name, Buffer.concat([...chunks])] as const);
        const again = await loadCheckpoint(memoryFiles(new Map(bytes)));
        expect(again.config).toMatchObject({ heads, kvHeads: heads, headSize: 4 });
        again.model.dispose();
      }
      model.dispose();
    }
    // Hidden size 16: three heads do not divide it, two do; Qwen3 does not mind.
    expect(layouts).toEqual(['per-layer', 'huggingface', 'huggingface', 'huggingface']);
  });

  it.each([{ xpos_rel_pos: true }, { moe_freq: 2 }])('BEiT-3 with %o is refused', (field) => {
    const raw = { model_type: 'beit3', architectures: ['BEiT3ForImageClassification'], num_labels: 2 };
    expect(findFamily(raw).readConfig(raw).layers).toBe(12);
    expect(() => findFamily(raw).readConfig({ ...raw, ...field })).toThrow(
      expect.objectContaining({ code: 'unsupported-model' }) as Error,
    );
  });
});

describe.each(BACKENDS)('rows of padding (%s)', (backend) => {
  beforeAll(() => useBackend(backend));

  it('a query that sees nothing weighs all keys alike, as transformers leaves left padding', async () => {
    const t = new Tensors(21);
    for (const [name, heads] of [['q', 4] as const, ['k', 2] as const, ['v', 2] as const])
      t.add(name, [5, heads, 3], 1);
    const tensor = (name: string, heads: number) => tf.tensor4d(t.get(name), [1, 5, heads, 3]);
    const context = { layer: 0, causal: true, scale: 1, queryOffset: 0, mask: idTensor([0, 0, 1, 1, 1]) };
    const output = denseAttention(tensor('q', 4), tensor('k', 2), tensor('v', 2), context);
    const mean = (kv: number, c: number) =>
      [0, 1, 2, 3, 4].reduce((sum, j) => sum + t.get('v')[(j * 2 + kv) * 3 + c]! / 5, 0);
    const row = [0, 0, 1, 1].flatMap((kv) => [0, 1, 2].map((c) => mean(kv, c)));
    expect((await output.data()).slice(0, 24)).toBeAllclose([...row, ...row], { atol: 1e-6, rtol: 0 });
  });

  it('a decoder classifier reads a sequence of padding at its first token', async () => {
    const model = tinyLlama(3, { architectures: ['LlamaForSequenceClassification'], num_labels: 3, pad_token_id: 0 });
    const inputs = { inputIds: tf.tensor2d([5, 6, 7, 0, 0, 0], [2, 3], 'int32') };
    const { logits, hiddenStates } = model.forward(inputs, { hiddenStates: true });
    const last = (await hiddenStates!.at(-1)!.data()) as Float32Array;
    const weight = (await model.weights.get('head.weight')!.data()) as Float32Array;
    const score = (row: number) =>
      [0, 1, 2].map((o) =>
        Array.from({ length: 16 }).reduce<number>((sum, _, i) => sum + last[row * 16 + i]! * weight[i * 3 + o]!, 0),
      );
    expect(await logits.data()).toBeAllclose([...score(2), ...score(3)], { atol: 1e-5, rtol: 0 });
    model.dispose();
  });
});

describe('RoBERTa', () => {
  beforeAll(() => useBackend('wasm'));

  const PAD = 1;
  const ids = [0, 9, 12, 17, 2, PAD, PAD];
  const mask = [1, 1, 1, 1, 1, 0, 0];
  const encoder = (): Tensors => {
    const t = new Tensors(8);
    t.add('roberta.embeddings.word_embeddings.weight', [40, D], 1);
    t.add('roberta.embeddings.position_embeddings.weight', [20, D], 1);
    t.add('roberta.embeddings.token_type_embeddings.weight', [1, D], 1);
    t.norm('roberta.embeddings.LayerNorm', D);
    for (let l = 0; l < LAYERS; l++) {
      const at = `roberta.encoder.layer.${l}`;
      for (const name of ['query', 'key', 'value']) t.linear(`${at}.attention.self.${name}`, D, D);
      t.linear(`${at}.attention.output.dense`, D, D);
      t.norm(`${at}.attention.output.LayerNorm`, D);
      t.linear(`${at}.intermediate.dense`, D, FFN);
      t.linear(`${at}.output.dense`, FFN, D);
      t.norm(`${at}.output.LayerNorm`, D);
    }
    return t;
  };
  const encode = (t: Tensors): Rows => {
    const row = (name: string, i: number) => Array.from(t.get(name).subarray(i * D, (i + 1) * D));
    let real = 0;
    let x: Rows = ids.map((id) => {
      const position = id === PAD ? PAD : PAD + ++real;
      const sum = plus(
        [row('roberta.embeddings.word_embeddings.weight', id)],
        [row('roberta.embeddings.position_embeddings.weight', position)],
      );
      return plus(sum, [row('roberta.embeddings.token_type_embeddings.weight', 0)])[0]!;
    });
    x = t.layerNorm('roberta.embeddings.LayerNorm', x, 1e-5);
    for (let l = 0; l < LAYERS; l++) {
      const at = `roberta.encoder.layer.${l}`;
      const [q, k, v] = ['query', 'key', 'value'].map((name) => t.apply(`${at}.attention.self.${name}`, x)) as [
        Rows,
        Rows,
        Rows,
      ];
      const mixed = t.apply(
        `${at}.attention.output.dense`,
        attend(q, k, v, HEADS, HEADS, (_, j) => mask[j] === 1),
      );
      x = t.layerNorm(`${at}.attention.output.LayerNorm`, plus(mixed, x), 1e-5);
      const fed = t.apply(`${at}.output.dense`, gelu(t.apply(`${at}.intermediate.dense`, x)));
      x = t.layerNorm(`${at}.output.LayerNorm`, plus(fed, x), 1e-5);
    }
    return x;
  };
  const config = {
    model_type: 'roberta',
    hidden_size: D,
    num_attention_heads: HEADS,
    num_hidden_layers: LAYERS,
    intermediate_size: FFN,
    vocab_size: 40,
    max_position_embeddings: 20,
    type_vocab_size: 1,
    layer_norm_eps: 1e-5,
    pad_token_id: PAD,
    hidden_act: 'gelu',
  };
  const inputs = () => ({ inputIds: idTensor(ids), attentionMask: idTensor(mask) });
  const onnxInputs = { input_ids: int64(ids), attention_mask: int64(mask) };

  it('sequence classification: positions skip padding, dense + tanh head', async () => {
    const t = encoder();
    t.linear('classifier.dense', D, D);
    t.linear('classifier.out_proj', D, 3);
    const { model } = await load(
      { ...config, architectures: ['RobertaForSequenceClassification'], id2label: { 0: 'a', 1: 'b', 2: 'c' } },
      t,
    );
    const expected = t.apply('classifier.out_proj', tanh(t.apply('classifier.dense', [encode(t)[0]!])));
    expect(await model.forward(inputs()).logits.data()).toBeAllclose(expected.flat(), { atol: 2e-5, rtol: 1e-5 });
    await checkSubnets(model, inputs(), onnxInputs);
  });

  it('masked LM, untied: the decoder has its own weight and bias', async () => {
    const t = encoder();
    t.linear('lm_head.dense', D, D);
    t.norm('lm_head.layer_norm', D);
    t.add('lm_head.bias', [40]);
    t.linear('lm_head.decoder', D, 40);
    const raw = { ...config, architectures: ['RobertaForMaskedLM'], tie_word_embeddings: false };
    const { model } = await load(raw, t);
    const h = t.layerNorm('lm_head.layer_norm', gelu(t.apply('lm_head.dense', encode(t))), 1e-5);
    const expected = t.apply('lm_head.decoder', h).flat();
    expect(await model.forward(inputs()).logits.data()).toBeAllclose(expected, { atol: 5e-5, rtol: 1e-5 });
    await checkSubnets(model, inputs(), onnxInputs);
    // transformers 4 stored one bias under the other name.
    const one = t.list.filter(({ name }) => name !== 'lm_head.decoder.bias');
    const older = await loadCheckpoint(checkpointFiles(raw, one));
    expect(await older.model.weights.get('head.bias')!.data()).toEqual(t.get('lm_head.bias'));
    const { files } = await renderCheckpoint(model);
    const weights = files.find(({ name }) => name === 'model.safetensors')!;
    const file = await openSafetensors(Buffer.concat([...weights.chunks]));
    expect((await file.read('lm_head.decoder.bias')).data).toEqual(t.get('lm_head.decoder.bias'));
  });

  it('masked LM: lm_head transform, tied decoder', async () => {
    const t = encoder();
    t.linear('lm_head.dense', D, D);
    t.norm('lm_head.layer_norm', D);
    t.add('lm_head.bias', [40]);
    const { model } = await load({ ...config, architectures: ['RobertaForMaskedLM'] }, t);
    const h = t.layerNorm('lm_head.layer_norm', gelu(t.apply('lm_head.dense', encode(t))), 1e-5);
    const [table, bias] = [t.get('roberta.embeddings.word_embeddings.weight'), t.get('lm_head.bias')];
    const expected = h.map((row) =>
      Array.from(bias, (b, w) => row.reduce((sum, value, i) => sum + value * table[w * D + i]!, b)),
    );
    expect(await model.forward(inputs()).logits.data()).toBeAllclose(expected.flat(), { atol: 5e-5, rtol: 1e-5 });
    await checkSubnets(model, inputs(), onnxInputs);
  });
});

describe('DeiT and BEiT-3', () => {
  beforeAll(() => useBackend('wasm'));

  const [SIDE, PATCH, GRID] = [12, 4, 3];
  const pixels = () => {
    const t = new Tensors(9);
    t.add('pixels', [3, SIDE, SIDE], 1);
    return t.get('pixels');
  };
  const patchRows = (t: Tensors, name: string, image: Float32Array): Rows => {
    const [weight, bias] = [t.get(`${name}.weight`), t.get(`${name}.bias`)];
    return Array.from({ length: GRID * GRID }, (_, p) => {
      const [py, px] = [Math.floor(p / GRID) * PATCH, (p % GRID) * PATCH];
      return Array.from(bias, (b, o) => {
        let sum = b;
        for (let c = 0; c < 3; c++)
          for (let y = 0; y < PATCH; y++)
            for (let x = 0; x < PATCH; x++)
              sum += image[(c * SIDE + py + y) * SIDE + px + x]! * weight[((o * 3 + c) * PATCH + y) * PATCH + x]!;
        return sum;
      });
    });
  };
  const inputs = () => ({ pixelValues: tf.tensor4d(pixels(), [1, 3, SIDE, SIDE]) });
  const onnxInputs = { pixel_values: new ort.Tensor('float32', pixels(), [1, 3, SIDE, SIDE]) };

  it('DeiT with a teacher: distillation token, two classifiers averaged', async () => {
    const t = new Tensors(10);
    t.add('deit.embeddings.patch_embeddings.projection.weight', [D, 3, PATCH, PATCH]);
    t.add('deit.embeddings.patch_embeddings.projection.bias', [D]);
    t.add('deit.embeddings.cls_token', [1, 1, D], 1);
    t.add('deit.embeddings.distillation_token', [1, 1, D], 1);
    t.add('deit.embeddings.position_embeddings', [1, GRID * GRID + 2, D], 1);
    for (let l = 0; l < LAYERS; l++) {
      const at = `deit.encoder.layer.${l}`;
      t.norm(`${at}.layernorm_before`, D);
      for (const name of ['query', 'key', 'value']) t.linear(`${at}.attention.attention.${name}`, D, D);
      t.linear(`${at}.attention.output.dense`, D, D);
      t.norm(`${at}.layernorm_after`, D);
      t.linear(`${at}.intermediate.dense`, D, FFN);
      t.linear(`${at}.output.dense`, FFN, D);
    }
    t.norm('deit.layernorm', D);
    t.linear('cls_classifier', D, 5);
    t.linear('distillation_classifier', D, 5);
    let x: Rows = [
      Array.from(t.get('deit.embeddings.cls_token')),
      Array.from(t.get('deit.embeddings.distillation_token')),
      ...patchRows(t, 'deit.embeddings.patch_embeddings.projection', pixels()),
    ];
    const positions = t.get('deit.embeddings.position_embeddings');
    x = x.map((row, r) => row.map((value, c) => value + positions[r * D + c]!));
    for (let l = 0; l < LAYERS; l++) {
      const at = `deit.encoder.layer.${l}`;
      const n = t.layerNorm(`${at}.layernorm_before`, x, 1e-12);
      const [q, k, v] = ['query', 'key', 'value'].map((name) => t.apply(`${at}.attention.attention.${name}`, n)) as [
        Rows,
        Rows,
        Rows,
      ];
      x = plus(
        x,
        t.apply(
          `${at}.attention.output.dense`,
          attend(q, k, v, HEADS, HEADS, () => true),
        ),
      );
      const m = t.layerNorm(`${at}.layernorm_after`, x, 1e-12);
      x = plus(x, t.apply(`${at}.output.dense`, gelu(t.apply(`${at}.intermediate.dense`, m))));
    }
    const h = t.layerNorm('deit.layernorm', x, 1e-12);
    const [a, b] = [t.apply('cls_classifier', [h[0]!])[0]!, t.apply('distillation_classifier', [h[1]!])[0]!];
    const config = {
      model_type: 'deit',
      architectures: ['DeiTForImageClassificationWithTeacher'],
      hidden_size: D,
      num_attention_heads: HEADS,
      num_hidden_layers: LAYERS,
      intermediate_size: FFN,
      image_size: SIDE,
      patch_size: PATCH,
      num_labels: 5,
    };
    const { model } = await load(config, t);
    const expected = a.map((value, i) => (value + b[i]!) / 2);
    expect(await model.forward(inputs()).logits.data()).toBeAllclose(expected, { atol: 2e-5, rtol: 1e-5 });
    await checkSubnets(model, inputs(), onnxInputs);
  });

  it('BEiT-3: vision branch, positions from 2, sub-LayerNorms, mean of the patches', async () => {
    const t = new Tensors(12);
    t.add('beit3.vision_embed.proj.weight', [D, 3, PATCH, PATCH]);
    t.add('beit3.vision_embed.proj.bias', [D]);
    t.add('beit3.vision_embed.cls_token', [1, 1, D], 1);
    t.add('beit3.vision_embed.mask_token', [1, 1, D], 1);
    t.add('beit3.text_embed.weight', [30, D], 1);
    t.add('beit3.encoder.embed_positions.A.weight', [GRID * GRID + 3, D], 1);
    for (let l = 0; l < LAYERS; l++) {
      const at = `beit3.encoder.layers.${l}`;
      for (const branch of ['A', 'B']) {
        t.norm(`${at}.self_attn_layer_norm.${branch}`, D);
        for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj'])
          t.linear(`${at}.self_attn.${name}.${branch}`, D, D);
        t.norm(`${at}.self_attn.inner_attn_ln.${branch}`, D);
        t.norm(`${at}.final_layer_norm.${branch}`, D);
        t.linear(`${at}.ffn.${branch}.fc1`, D, FFN);
        t.norm(`${at}.ffn.${branch}.ffn_layernorm`, FFN);
        t.linear(`${at}.ffn.${branch}.fc2`, FFN, D);
      }
    }
    t.norm('beit3.encoder.layer_norm.A', D);
    t.norm('fc_norm', D);
    t.linear('head', D, 5);
    const positions = t.get('beit3.encoder.embed_positions.A.weight');
    let x: Rows = [
      Array.from(t.get('beit3.vision_embed.cls_token')),
      ...patchRows(t, 'beit3.vision_embed.proj', pixels()),
    ];
    x = x.map((row, r) => row.map((value, c) => value + positions[(r + 2) * D + c]!));
    for (let l = 0; l < LAYERS; l++) {
      const at = `beit3.encoder.layers.${l}`;
      const n = t.layerNorm(`${at}.self_attn_layer_norm.A`, x, 1e-5);
      const [q, k, v] = ['q', 'k', 'v'].map((name) => t.apply(`${at}.self_attn.${name}_proj.A`, n)) as [
        Rows,
        Rows,
        Rows,
      ];
      const mixed = t.layerNorm(
        `${at}.self_attn.inner_attn_ln.A`,
        attend(q, k, v, HEADS, HEADS, () => true),
        1e-5,
      );
      x = plus(x, t.apply(`${at}.self_attn.out_proj.A`, mixed));
      const m = t.layerNorm(`${at}.final_layer_norm.A`, x, 1e-5);
      const active = t.layerNorm(`${at}.ffn.A.ffn_layernorm`, gelu(t.apply(`${at}.ffn.A.fc1`, m)), 1e-5);
      x = plus(x, t.apply(`${at}.ffn.A.fc2`, active));
    }
    const h = t.layerNorm('beit3.encoder.layer_norm.A', x, 1e-5).slice(1);
    const mean = h[0]!.map((_, c) => h.reduce((sum, row) => sum + row[c]!, 0) / h.length);
    const expected = t.apply('head', t.layerNorm('fc_norm', [mean], 1e-5));
    const config = {
      model_type: 'beit3',
      architectures: ['BEiT3ForImageClassification'],
      encoder_embed_dim: D,
      encoder_attention_heads: HEADS,
      encoder_layers: LAYERS,
      encoder_ffn_embed_dim: FFN,
      img_size: SIDE,
      patch_size: PATCH,
      num_labels: 5,
    };
    const { model } = await load(config, t);
    expect(await model.forward(inputs()).logits.data()).toBeAllclose(expected.flat(), { atol: 2e-5, rtol: 1e-5 });
    await checkSubnets(model, inputs(), onnxInputs);
  });
});
