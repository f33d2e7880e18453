// ModernBERT (Warner 2024): a pre-norm encoder with rotary positions, GeGLU, no biases, and two of three layers seeing their neighbours only.
import type { ModelConfig } from '../model/config.ts';
import { layerFfn, layerHeads } from '../model/slots.ts';
import type { Family, NameTable, TensorName } from './family.ts';
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
import { layerWindows } from './layer-types.ts';
import { readRope } from './rope-config.ts';

const LAYER = 'model.layers.{}';

/** Rows of the fused projections; of the FFN the first half is what is activated. */
function fusedNames(config: ModelConfig): NameTable {
  const rows = (tensor: string, size: (layer: number) => number, index: number, of: number): TensorName => ({
    tensor,
    rows: (layer) => ({ start: index * size(layer), of: of * size(layer) }),
  });
  const heads = (layer: number) => layerHeads(config, layer) * config.headSize;
  const units = (layer: number) => layerFfn(config, layer);
  return Object.fromEntries(
    ['weight', 'bias'].flatMap((kind): [string, TensorName][] => [
      ...['query', 'key', 'value'].map((name, index): [string, TensorName] => [
        `layers.{}.attention.${name}.${kind}`,
        rows(`${LAYER}.attn.Wqkv.${kind}`, heads, index, 3),
      ]),
      ...['gate', 'up'].map((name, index): [string, TensorName] => [
        `layers.{}.ffn.${name}.${kind}`,
        rows(`${LAYER}.mlp.Wi.${kind}`, units, index, 2),
      ]),
    ]),
  );
}

/** `rope_parameters` of each type of layer (5.x), or `global_rope_theta` and `local_rope_theta` (4.x). */
function rotations(raw: RawConfig, headSize: number, positions: number): Pick<ModelConfig, 'rope' | 'ropeLocal'> {
  const nested = Object(raw['rope_parameters']) as RawConfig;
  const read = (type: 'full_attention' | 'sliding_attention', key: string, theta: number) =>
    nested[type] === undefined
      ? readRope({ rope_theta: numberField(raw, key, theta) }, headSize, positions)
      : readRope(raw, headSize, positions, theta, type);
  return {
    rope: read('full_attention', 'global_rope_theta', 160_000),
    ropeLocal: read('sliding_attention', 'local_rope_theta', 10_000),
  };
}

/** ModernBERT. */
export const modernbert: Family = {
  name: 'modernbert',
  modelTypes: ['modernbert'],
  basePrefix: 'model.',
  configKeys: {
    layers: 'num_hidden_layers',
    heads: 'num_attention_heads',
    ffn: 'intermediate_size',
    perLayer: ['layer_types'],
  },
  readConfig: (raw) => {
    requireValue(raw, 'classifier_pooling', ['cls', 'mean']);
    const head = headKind(raw, 'modernbert', {
      MaskedLM: 'masked-lm',
      SequenceClassification: 'sequence-classification',
      TokenClassification: 'token-classification',
    });
    const heads = countField(raw, 'num_attention_heads', 12);
    const hiddenSize = countField(raw, 'hidden_size', 768);
    const layers = countField(raw, 'num_hidden_layers', 22);
    const headSize = headSizeField(raw, hiddenSize / heads);
    const positions = countField(raw, 'max_position_embeddings', 8192);
    const classifies = head === 'sequence-classification' || head === 'token-classification';
    const every = countField(raw, 'global_attn_every_n_layers', 3);
    // |i − j| ≤ local_attention / 2, the token itself counted.
    const window = Math.floor(countField(raw, 'local_attention', 128) / 2) + 1;
    const windows = layerWindows(raw, layers, window, (layer) => layer % every !== 0);
    const qkv = booleanField(raw, 'attention_bias', false);
    const pooled = raw['classifier_pooling'] === 'mean' ? 'mean' : 'first';
    return {
      ...CONFIG_DEFAULTS,
      family: 'modernbert',
      head,
      hiddenSize,
      layers,
      heads,
      kvHeads: heads,
      headSize,
      ffn: countField(raw, 'intermediate_size', 1152),
      ...elasticLayers(raw, layers),
      vocabSize: countField(raw, 'vocab_size', 50_368),
      maxPositions: positions,
      labels: classifies ? labelCount(raw) : 0,
      norm: {
        kind: 'layer',
        epsilon: numberField(raw, 'norm_eps', 1e-5),
        placement: 'pre',
        bias: booleanField(raw, 'norm_bias', false),
      },
      activation: activationField(raw, 'hidden_activation', 'gelu'),
      gated: true,
      causal: false,
      bias: { qkv, key: qkv, output: qkv, ffn: booleanField(raw, 'mlp_bias', false) },
      skipsFirstNorm: true,
      attentionScale: 1 / Math.sqrt(headSize),
      ...(windows && { slidingWindows: windows }),
      ...rotations(raw, headSize, positions),
      embeddingNorm: true,
      finalNorm: true,
      readout: head === 'sequence-classification' ? pooled : 'tokens',
      headBias: head === 'masked-lm' ? booleanField(raw, 'decoder_bias', true) : true,
      headDense: head === 'none' ? 'none' : 'lm-transform',
      headDenseBias: booleanField(raw, 'classifier_bias', false),
      headActivation: activationField(raw, 'classifier_activation', 'gelu'),
      normedLastHiddenState: true,
      tiedEmbeddings: head === 'masked-lm' && booleanField(raw, 'tie_word_embeddings', true),
      dropout: numberField(raw, 'mlp_dropout', 0),
      ...tokenIds(raw),
      raw,
    };
  },
  names: (config) => ({
    'embeddings.token.weight': 'model.embeddings.tok_embeddings.weight',
    ...fusedNames(config),
    ...Object.fromEntries([
      ...weightAndBias('embeddings.norm', 'model.embeddings.norm'),
      ...weightAndBias('layers.{}.attention.norm', `${LAYER}.attn_norm`),
      ...weightAndBias('layers.{}.attention.output', `${LAYER}.attn.Wo`),
      ...weightAndBias('layers.{}.ffn.norm', `${LAYER}.mlp_norm`),
      ...weightAndBias('layers.{}.ffn.down', `${LAYER}.mlp.Wo`),
      ...weightAndBias('norm', 'model.final_norm'),
      ...weightAndBias('head.dense', 'head.dense'),
      ...weightAndBias('head.norm', 'head.norm'),
      ...weightAndBias('head', config.head === 'masked-lm' ? 'decoder' : 'classifier'),
    ]),
  }),
};
