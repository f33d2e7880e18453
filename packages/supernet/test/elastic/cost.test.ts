// Closed forms of MACs to the digit (docs/specification/instatune.md §1), decoder formulas, parameters against the weights really there.
import { describe, expect, it } from 'vitest';
import { countMacs, countParameters } from '../../src/elastic/cost.ts';
import { uniformSubnet } from '../../src/elastic/subnets.ts';
import { families, findFamily, type ModelConfig } from '@hip/checkpoints';
import { modelSpace } from '../../src/model/space.ts';

function configOf(raw: Record<string, unknown>): ModelConfig {
  return findFamily(raw).readConfig(raw);
}

const bertBase = configOf({
  model_type: 'bert',
  architectures: ['BertForSequenceClassification'],
  vocab_size: 30_522,
});
const vitBase = configOf({ model_type: 'vit', architectures: ['ViTForImageClassification'], num_labels: 1000 });
const beit3Base = configOf({ model_type: 'beit3', architectures: ['BEiT3ForImageClassification'], num_labels: 1000 });

const macs = (config: ModelConfig, layers: number, heads: number, ffn: number, tokens?: number) =>
  countMacs(config, uniformSubnet(modelSpace(config, {}), layers, heads, ffn), tokens === undefined ? {} : { tokens });

describe('MACs', () => {
  it('BERT-base, 128 tokens', () => {
    expect(countMacs(bertBase, undefined, { tokens: 128 })).toBe(11_174_217_216);
    expect(macs(bertBase, 12, 12, 3072, 128)).toBe(11_174_217_216);
    expect(macs(bertBase, 6, 6, 1024, 128)).toBe(2_190_018_048);
  });

  it('ViT-B/16, 197 tokens', () => {
    expect(countMacs(vitBase)).toBe(17_563_828_224);
    expect(macs(vitBase, 11, 6, 2048)).toBe(9_817_321_728);
  });

  it('BEiT-3-base equals ViT-B/16: the same products', () => {
    expect(countMacs(beit3Base)).toBe(17_563_828_224);
  });

  it('decoders: grouped keys, gated FFN, logits', () => {
    const config = configOf({
      model_type: 'llama',
      architectures: ['LlamaForCausalLM'],
      hidden_size: 256,
      num_hidden_layers: 6,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 64,
      intermediate_size: 768,
      vocab_size: 4096,
    });
    const [n, d] = [100, 256];
    const layer = n * d * 256 * 2 + n * d * 128 * 2 + 2 * n * n * 256 + 3 * n * d * 768;
    expect(countMacs(config, undefined, { tokens: n })).toBe(6 * layer + n * d * 4096);
    expect(countMacs(config, undefined, { tokens: n, logitPositions: 1 })).toBe(6 * layer + d * 4096);
    const small = n * d * 128 * 2 + n * d * 64 * 2 + 2 * n * n * 128 + 3 * n * d * 256;
    expect(macs(config, 3, 2, 256, n)).toBe(3 * small + n * d * 4096);
  });
});

describe('what is counted', () => {
  const all = (value: number) => Array.from({ length: 12 }, () => value);
  const good = { layers: 12, heads: all(12), ffn: all(3072) };
  it.each([
    ['layers', { layers: 99, heads: [], ffn: [] }],
    ['layers', { ...good, layers: 0 }],
    ['layers', { ...good, layers: 1.5 }],
    ['heads', { ...good, heads: [12] }],
    ['ffn', { ...good, ffn: [] }],
    ['heads[3]', { ...good, heads: all(12).with(3, 13) }],
    ['heads[3]', { ...good, heads: all(12).with(3, 0) }],
    ['ffn[11]', { ...good, ffn: all(3072).with(11, Number.NaN) }],
    ['ffn[0]', { ...good, ffn: all(3072).with(0, 3073) }],
  ])('must fit the model: %s (%#)', (name, subnet) => {
    const wrong = expect.objectContaining({ code: 'invalid-subnet', details: expect.objectContaining({ name }) });
    expect(() => countMacs(bertBase, subnet, { tokens: 128 })).toThrow(wrong);
    expect(() => countParameters(bertBase, subnet)).toThrow(wrong);
  });

  it('is bounded layer by layer where layers are unequal, and by whole groups of heads', () => {
    const config = { ...bertBase, kvHeads: 6, layerHeads: all(12).with(2, 4), layerFfn: all(3072).with(5, 100) };
    const subnet = { layers: 12, heads: all(4), ffn: all(100) };
    expect(countMacs(config, subnet, { tokens: 8 })).toBeLessThan(countMacs(config, undefined, { tokens: 8 }));
    for (const wrong of [
      { ...subnet, heads: all(6) },
      { ...subnet, ffn: all(101) },
      { ...subnet, heads: all(3) },
    ]) {
      const invalid = expect.objectContaining({ code: 'invalid-subnet' });
      expect(() => countMacs(config, wrong, { tokens: 8 })).toThrow(invalid);
      expect(() => countParameters(config, wrong)).toThrow(invalid);
    }
    // What is not used is not looked at.
    const shallow = { layers: 2, heads: all(4).with(7, -1), ffn: all(100).with(7, -1) };
    expect(countMacs(config, shallow, { tokens: 8 })).toBeGreaterThan(0);
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])('is a whole number of tokens, not %s', (tokens) => {
    const wrong = expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(`${tokens}`) });
    for (const config of [bertBase, vitBase]) expect(() => countMacs(config, undefined, { tokens })).toThrow(wrong);
    const positions = () => countMacs(bertBase, undefined, { tokens: 8, logitPositions: tokens || -0.5 });
    expect(positions).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    expect(countMacs(bertBase, undefined, { tokens: undefined, logitPositions: undefined })).toBe(countMacs(bertBase));
  });
});

const debertaBase = configOf({
  model_type: 'deberta-v2',
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  max_position_embeddings: 512,
  relative_attention: true,
  position_buckets: 256,
  norm_rel_ebd: 'layer_norm',
  share_att_key: true,
  pos_att_type: 'p2c|c2p',
  position_biased_input: false,
});

describe('encoders of their own arithmetic', () => {
  it('DeBERTa: relative positions are projected once a layer and multiplied with queries and keys', () => {
    const [n, d, f, rows] = [16, 768, 3072, 31];
    const layer = 4 * n * d * d + 2 * n * n * d + 2 * n * d * f + 2 * rows * d * d + 2 * n * rows * d;
    expect(countMacs(debertaBase, undefined, { tokens: n })).toBe(12 * layer);
    // Of a long text the table is looked at but for a row of a distance that there is not: 511.
    const whole = countMacs(debertaBase, undefined, { tokens: 512 });
    expect(whole).toBe(
      12 * (4 * 512 * d * d + 2 * 512 ** 2 * d + 2 * 512 * d * f + 2 * 511 * d * d + 2 * 512 * 511 * d),
    );
  });

  it('BEiT-3: an image and a text of a question together, of retrieval one after the other', () => {
    const raw = {
      model_type: 'beit3',
      encoder_embed_dim: 64,
      encoder_attention_heads: 4,
      encoder_layers: 2,
      encoder_ffn_embed_dim: 96,
      img_size: 32,
      patch_size: 8,
      num_labels: 5,
    };
    const layers = (n: number) => 2 * (4 * n * 64 * 64 + 2 * n * n * 64 + 2 * n * 64 * 96);
    const patch = 16 * 8 * 8 * 3 * 64;
    const macs = (task: string, tokens?: number) =>
      countMacs(configOf({ ...raw, architectures: [`BEiT3${task}`] }), undefined, { tokens });
    expect(macs('ForVisualQuestionAnswering', 9)).toBe(patch + layers(26) + 64 * 64 + 2 * 64 * 64 + 128 * 5);
    expect(macs('ForRetrieval', 9)).toBe(patch + layers(17) + layers(9) + 2 * 64 * 64);
    expect(macs('Model', 0)).toBe(patch + layers(17));
    expect(macs('ForImageClassification', undefined)).toBe(patch + layers(17) + 64 * 5);
  });
});

describe('parameters', () => {
  it('of the published models', () => {
    // Without pooler-less heads: BertModel 109,482,240 + classifier 2·768 + 2; ViT-B/16 86,567,656; GPT-2 124,439,808.
    expect(countParameters(bertBase)).toBe(109_482_240 + 1538);
    expect(countParameters(vitBase)).toBe(86_567_656);
    const gpt2 = configOf({ model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] });
    expect(countParameters(gpt2)).toBe(124_439_808);
    const roberta = configOf({
      model_type: 'roberta',
      architectures: ['RobertaModel'],
      vocab_size: 50_265,
      max_position_embeddings: 514,
      type_vocab_size: 1,
    });
    // RobertaModel with its pooler has 124,645,632; the bare encoder is 768² + 768 less.
    expect(countParameters(roberta)).toBe(124_645_632 - 768 * 768 - 768);
    // distilbert-base without a head; ModernBERT-base as a masked language model; the encoder of DeBERTa-v3-base.
    expect(countParameters(configOf({ model_type: 'distilbert' }))).toBe(66_362_880);
    expect(countParameters(configOf({ model_type: 'modernbert', architectures: ['ModernBertForMaskedLM'] }))).toBe(
      149_655_232,
    );
    expect(countParameters(debertaBase)).toBe(183_831_552);
    const qwen = configOf({
      model_type: 'qwen3',
      architectures: ['Qwen3ForCausalLM'],
      hidden_size: 1024,
      num_hidden_layers: 28,
      num_attention_heads: 16,
      num_key_value_heads: 8,
      head_dim: 128,
      intermediate_size: 3072,
      vocab_size: 151_936,
      tie_word_embeddings: true,
    });
    expect(countParameters(qwen)).toBe(596_049_920);
  });

  it('every family is found by its own model types only once', () => {
    const types = families.flatMap(({ modelTypes }) => modelTypes);
    expect(new Set(types).size).toBe(types.length);
  });
});
