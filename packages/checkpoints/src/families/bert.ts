// BERT (Devlin 2018): post-norm encoder with learned positions, segments, pooler or masked-LM head.
import type { ModelConfig } from '../model/config.ts';
import type { Family, NameTable } from './family.ts';
import {
  CONFIG_DEFAULTS,
  activationField,
  booleanField,
  countField,
  elasticLayers,
  headKind,
  headSizeField,
  labelCount,
  numberField,
  requireValue,
  tokenIds,
} from './hf-config.ts';
import type { RawConfig } from './hf-config.ts';

/** Encoder names shared by BERT and RoBERTa; `base` is `bert` or `roberta`. */
export function bertEncoderNames(base: string): NameTable {
  const layer = `${base}.encoder.layer.{}`;
  const both = (slot: string, tensor: string): [string, string][] => [
    [`${slot}.weight`, `${tensor}.weight`],
    [`${slot}.bias`, `${tensor}.bias`],
  ];
  return Object.fromEntries([
    ['embeddings.token.weight', `${base}.embeddings.word_embeddings.weight`],
    ['embeddings.position.weight', `${base}.embeddings.position_embeddings.weight`],
    ['embeddings.type.weight', `${base}.embeddings.token_type_embeddings.weight`],
    ...both('embeddings.norm', `${base}.embeddings.LayerNorm`),
    ...both('layers.{}.attention.query', `${layer}.attention.self.query`),
    ...both('layers.{}.attention.key', `${layer}.attention.self.key`),
    ...both('layers.{}.attention.value', `${layer}.attention.self.value`),
    ...both('layers.{}.attention.output', `${layer}.attention.output.dense`),
    ...both('layers.{}.attention.norm', `${layer}.attention.output.LayerNorm`),
    ...both('layers.{}.ffn.up', `${layer}.intermediate.dense`),
    ...both('layers.{}.ffn.down', `${layer}.output.dense`),
    ...both('layers.{}.ffn.norm', `${layer}.output.LayerNorm`),
    ...both('pooler', `${base}.pooler.dense`),
  ]);
}

/** The bias transformers applies: an untied decoder has its own. */
export function maskedBias(head: string, config: ModelConfig): string {
  return config.tiedEmbeddings ? `${head}.bias` : `${head}.decoder.bias`;
}

/** Configuration of a BERT-like encoder without its head. */
export function readBertConfig(raw: RawConfig, family: string, head: ModelConfig['head']): ModelConfig {
  requireValue(raw, 'position_embedding_type', ['absolute']);
  requireValue(raw, 'is_decoder', [false]);
  requireValue(raw, 'add_cross_attention', [false]);
  const heads = countField(raw, 'num_attention_heads', 12);
  const hiddenSize = countField(raw, 'hidden_size', 768);
  const layers = countField(raw, 'num_hidden_layers', 12);
  const headSize = headSizeField(raw, hiddenSize / heads);
  const positions = countField(raw, 'max_position_embeddings', 512);
  const classifies = head === 'sequence-classification' || head === 'token-classification';
  return {
    ...CONFIG_DEFAULTS,
    family,
    head,
    hiddenSize,
    layers,
    heads,
    kvHeads: heads,
    headSize,
    ffn: countField(raw, 'intermediate_size', 3072),
    ...elasticLayers(raw, layers),
    vocabSize: countField(raw, 'vocab_size', 30_522),
    maxPositions: positions,
    positionRows: positions,
    typeVocabSize: countField(raw, 'type_vocab_size', 2),
    labels: classifies ? labelCount(raw) : 0,
    norm: { kind: 'layer', epsilon: numberField(raw, 'layer_norm_eps', 1e-12), placement: 'post' },
    activation: activationField(raw, 'hidden_act', 'gelu'),
    causal: false,
    bias: { qkv: true, key: true, output: true, ffn: true },
    attentionScale: 1 / Math.sqrt(headSize),
    embeddingNorm: true,
    finalNorm: false,
    readout: head === 'sequence-classification' ? 'first' : 'tokens',
    headBias: true,
    headDense: head === 'masked-lm' ? 'lm-transform' : 'none',
    normedLastHiddenState: false,
    tiedEmbeddings: head === 'masked-lm' && booleanField(raw, 'tie_word_embeddings', true),
    dropout: numberField(raw, 'hidden_dropout_prob', 0.1),
    ...tokenIds(raw),
    raw,
  };
}

/** BERT. */
export const bert: Family = {
  name: 'bert',
  modelTypes: ['bert'],
  basePrefix: 'bert.',
  configKeys: { layers: 'num_hidden_layers', heads: 'num_attention_heads', ffn: 'intermediate_size' },
  readConfig: (raw) => {
    const head = headKind(raw, 'bert', {
      MaskedLM: 'masked-lm',
      PreTraining: 'masked-lm',
      SequenceClassification: 'sequence-classification',
      TokenClassification: 'token-classification',
    });
    return { ...readBertConfig(raw, 'bert', head), pooler: head === 'sequence-classification' };
  },
  names: (config) => ({
    ...bertEncoderNames('bert'),
    'head.dense.weight': 'cls.predictions.transform.dense.weight',
    'head.dense.bias': 'cls.predictions.transform.dense.bias',
    'head.norm.weight': 'cls.predictions.transform.LayerNorm.weight',
    'head.norm.bias': 'cls.predictions.transform.LayerNorm.bias',
    'head.weight': config.head === 'masked-lm' ? 'cls.predictions.decoder.weight' : 'classifier.weight',
    'head.bias': config.head === 'masked-lm' ? maskedBias('cls.predictions', config) : 'classifier.bias',
  }),
};
