// DeBERTa-v2 and -v3 (He 2021): BERT whose scores also look at relative positions, by queries and by keys.
import type { ModelConfig, RelativeAttention } from '../model/config.ts';
import { maskedBias } from './bert.ts';
import type { Family } from './family.ts';
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
  weightAndBias,
} from './hf-config.ts';
import type { RawConfig } from './hf-config.ts';

const LAYER = 'deberta.encoder.layer.{}';

/** A list, or words between `|` as older configurations have it. */
function words(raw: RawConfig, key: string): readonly string[] {
  const value = raw[key] ?? [];
  const list = typeof value === 'string' ? value.split('|') : Array.isArray(value) ? value : [];
  return list.map((word) => String(word).trim().toLowerCase()).filter((word) => word !== '' && word !== 'none');
}

function readRelative(raw: RawConfig, positions: number): RelativeAttention | undefined {
  if (!booleanField(raw, 'relative_attention', false)) return undefined;
  const types = words(raw, 'pos_att_type');
  const largest = numberField(raw, 'max_relative_positions', -1);
  const maxDistance = largest < 1 ? positions : largest;
  const buckets = Math.max(0, numberField(raw, 'position_buckets', -1));
  return {
    span: buckets > 0 ? buckets : maxDistance,
    buckets,
    maxDistance,
    contentToPosition: types.includes('c2p'),
    positionToContent: types.includes('p2c'),
    sharedProjections: booleanField(raw, 'share_att_key', false),
    norm: words(raw, 'norm_rel_ebd').includes('layer_norm'),
  };
}

function readConfig(raw: RawConfig): ModelConfig {
  requireValue(raw, 'conv_kernel_size', [0]);
  const head = headKind(raw, 'deberta-v2', {
    MaskedLM: 'masked-lm',
    SequenceClassification: 'sequence-classification',
    TokenClassification: 'token-classification',
  });
  if (head === 'masked-lm') requireValue(raw, 'legacy', [true]);
  const heads = countField(raw, 'num_attention_heads', 24);
  const hiddenSize = countField(raw, 'hidden_size', 1536);
  requireValue(raw, 'embedding_size', [hiddenSize]);
  const layers = countField(raw, 'num_hidden_layers', 24);
  const headSize = headSizeField(raw, hiddenSize / heads);
  requireValue(raw, 'attention_head_size', [headSize]);
  const positions = countField(raw, 'max_position_embeddings', 512);
  const isClassifier = head === 'sequence-classification';
  requireValue(raw, 'pooler_hidden_size', [hiddenSize]);
  const relative = readRelative(raw, positions);
  const parts = 1 + Number(relative?.contentToPosition ?? false) + Number(relative?.positionToContent ?? false);
  return {
    ...CONFIG_DEFAULTS,
    family: 'deberta-v2',
    head,
    hiddenSize,
    layers,
    heads,
    kvHeads: heads,
    headSize,
    ffn: countField(raw, 'intermediate_size', 6144),
    ...elasticLayers(raw, layers),
    vocabSize: countField(raw, 'vocab_size', 128_100),
    maxPositions: positions,
    positionRows: booleanField(raw, 'position_biased_input', true) ? positions : 0,
    typeVocabSize: numberField(raw, 'type_vocab_size', 0),
    labels: isClassifier || head === 'token-classification' ? labelCount(raw) : 0,
    norm: { kind: 'layer', epsilon: numberField(raw, 'layer_norm_eps', 1e-7), placement: 'post' },
    activation: activationField(raw, 'hidden_act', 'gelu'),
    causal: false,
    bias: { qkv: true, key: true, output: true, ffn: true },
    attentionScale: 1 / Math.sqrt(headSize * parts),
    ...(relative && { relativeAttention: relative }),
    embeddingNorm: true,
    zeroPadding: true,
    finalNorm: false,
    readout: isClassifier ? 'first' : 'tokens',
    headBias: true,
    headDense: isClassifier ? 'activation' : head === 'masked-lm' ? 'lm-transform' : 'none',
    ...(isClassifier && { headActivation: activationField(raw, 'pooler_hidden_act', 'gelu') }),
    normedLastHiddenState: false,
    tiedEmbeddings: head === 'masked-lm' && booleanField(raw, 'tie_word_embeddings', true),
    dropout: numberField(raw, 'hidden_dropout_prob', 0.1),
    ...tokenIds(raw),
    raw,
  };
}

/** DeBERTa-v2, which DeBERTa-v3 checkpoints are, too; without the convolution of its two largest models. */
export const debertaV2: Family = {
  name: 'deberta-v2',
  modelTypes: ['deberta-v2'],
  basePrefix: 'deberta.',
  configKeys: {
    layers: 'num_hidden_layers',
    heads: 'num_attention_heads',
    ffn: 'intermediate_size',
    likeHidden: ['pooler_hidden_size'],
  },
  readConfig,
  names: (config) => {
    const isLanguageModel = config.head === 'masked-lm';
    return {
      'embeddings.token.weight': 'deberta.embeddings.word_embeddings.weight',
      'embeddings.position.weight': 'deberta.embeddings.position_embeddings.weight',
      'embeddings.type.weight': 'deberta.embeddings.token_type_embeddings.weight',
      'relative.weight': 'deberta.encoder.rel_embeddings.weight',
      ...Object.fromEntries([
        ...weightAndBias('embeddings.norm', 'deberta.embeddings.LayerNorm'),
        ...weightAndBias('relative.norm', 'deberta.encoder.LayerNorm'),
        ...weightAndBias('layers.{}.attention.query', `${LAYER}.attention.self.query_proj`),
        ...weightAndBias('layers.{}.attention.key', `${LAYER}.attention.self.key_proj`),
        ...weightAndBias('layers.{}.attention.value', `${LAYER}.attention.self.value_proj`),
        ...weightAndBias('layers.{}.attention.positionKey', `${LAYER}.attention.self.pos_key_proj`),
        ...weightAndBias('layers.{}.attention.positionQuery', `${LAYER}.attention.self.pos_query_proj`),
        ...weightAndBias('layers.{}.attention.output', `${LAYER}.attention.output.dense`),
        ...weightAndBias('layers.{}.attention.norm', `${LAYER}.attention.output.LayerNorm`),
        ...weightAndBias('layers.{}.ffn.up', `${LAYER}.intermediate.dense`),
        ...weightAndBias('layers.{}.ffn.down', `${LAYER}.output.dense`),
        ...weightAndBias('layers.{}.ffn.norm', `${LAYER}.output.LayerNorm`),
        ...weightAndBias('head.dense', isLanguageModel ? 'cls.predictions.transform.dense' : 'pooler.dense'),
        ...weightAndBias('head.norm', 'cls.predictions.transform.LayerNorm'),
      ]),
      'head.weight': isLanguageModel ? 'cls.predictions.decoder.weight' : 'classifier.weight',
      'head.bias': isLanguageModel ? maskedBias('cls.predictions', config) : 'classifier.bias',
    };
  },
};
