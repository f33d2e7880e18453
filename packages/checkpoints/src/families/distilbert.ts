// DistilBERT (Sanh 2019): BERT of half the layers, without segments and pooler, with a classifier of its own.
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
  tokenIds,
  weightAndBias,
} from './hf-config.ts';

const LAYER = 'distilbert.transformer.layer.{}';
/** Of all its norms; config.json does not say it. */
const EPSILON = 1e-12;

/** DistilBERT. */
export const distilbert: Family = {
  name: 'distilbert',
  modelTypes: ['distilbert'],
  basePrefix: 'distilbert.',
  configKeys: { layers: 'n_layers', heads: 'n_heads', ffn: 'hidden_dim', hidden: 'dim' },
  readConfig: (raw) => {
    const head = headKind(raw, 'distilbert', {
      MaskedLM: 'masked-lm',
      SequenceClassification: 'sequence-classification',
      TokenClassification: 'token-classification',
    });
    const heads = countField(raw, 'n_heads', 12);
    const hiddenSize = countField(raw, 'dim', 768);
    const layers = countField(raw, 'n_layers', 6);
    const headSize = headSizeField(raw, hiddenSize / heads);
    const positions = countField(raw, 'max_position_embeddings', 512);
    const classifies = head === 'sequence-classification' || head === 'token-classification';
    const headDense = { 'masked-lm': 'lm-transform', 'sequence-classification': 'activation' } as const;
    return {
      ...CONFIG_DEFAULTS,
      family: 'distilbert',
      head,
      hiddenSize,
      layers,
      heads,
      kvHeads: heads,
      headSize,
      ffn: countField(raw, 'hidden_dim', 4 * 768),
      ...elasticLayers(raw, layers),
      vocabSize: countField(raw, 'vocab_size', 30_522),
      maxPositions: positions,
      positionRows: positions,
      labels: classifies ? labelCount(raw) : 0,
      norm: { kind: 'layer', epsilon: EPSILON, placement: 'post' },
      activation: activationField(raw, 'activation', 'gelu'),
      causal: false,
      bias: { qkv: true, key: true, output: true, ffn: true },
      attentionScale: 1 / Math.sqrt(headSize),
      embeddingNorm: true,
      finalNorm: false,
      readout: head === 'sequence-classification' ? 'first' : 'tokens',
      headBias: true,
      headDense: head === 'masked-lm' || head === 'sequence-classification' ? headDense[head] : 'none',
      ...(head === 'sequence-classification' && { headActivation: 'relu' as const }),
      normedLastHiddenState: false,
      tiedEmbeddings: head === 'masked-lm' && booleanField(raw, 'tie_word_embeddings', true),
      dropout: numberField(raw, 'dropout', 0.1),
      ...tokenIds(raw),
      raw,
    };
  },
  names: ({ head }) => ({
    'embeddings.token.weight': 'distilbert.embeddings.word_embeddings.weight',
    'embeddings.position.weight': 'distilbert.embeddings.position_embeddings.weight',
    ...Object.fromEntries([
      ...weightAndBias('embeddings.norm', 'distilbert.embeddings.LayerNorm'),
      ...weightAndBias('layers.{}.attention.query', `${LAYER}.attention.q_lin`),
      ...weightAndBias('layers.{}.attention.key', `${LAYER}.attention.k_lin`),
      ...weightAndBias('layers.{}.attention.value', `${LAYER}.attention.v_lin`),
      ...weightAndBias('layers.{}.attention.output', `${LAYER}.attention.out_lin`),
      ...weightAndBias('layers.{}.attention.norm', `${LAYER}.sa_layer_norm`),
      ...weightAndBias('layers.{}.ffn.up', `${LAYER}.ffn.lin1`),
      ...weightAndBias('layers.{}.ffn.down', `${LAYER}.ffn.lin2`),
      ...weightAndBias('layers.{}.ffn.norm', `${LAYER}.output_layer_norm`),
      ...weightAndBias('head.dense', head === 'masked-lm' ? 'vocab_transform' : 'pre_classifier'),
      ...weightAndBias('head.norm', 'vocab_layer_norm'),
      ...weightAndBias('head', head === 'masked-lm' ? 'vocab_projector' : 'classifier'),
    ]),
  }),
};
