// ViT (Dosovitskiy 2020) and DeiT (Touvron 2020: a distillation token, two classifiers averaged at inference).
import type { ModelConfig } from '../model/config.ts';
import type { Family, NameTable } from './family.ts';
import {
  CONFIG_DEFAULTS,
  activationField,
  architecture,
  booleanField,
  countField,
  elasticLayers,
  headKind,
  headSizeField,
  labelCount,
  numberField,
  pairField,
} from './hf-config.ts';
import type { RawConfig } from './hf-config.ts';

function readVitConfig(raw: RawConfig, family: string, prefixTokens: number): ModelConfig {
  const heads = countField(raw, 'num_attention_heads', 12);
  const hiddenSize = countField(raw, 'hidden_size', 768);
  const layers = countField(raw, 'num_hidden_layers', 12);
  const headSize = headSizeField(raw, hiddenSize / heads);
  const imageSize = pairField(raw, 'image_size', 224);
  const patchSize = pairField(raw, 'patch_size', 16);
  const tokens = Math.floor(imageSize[0] / patchSize[0]) * Math.floor(imageSize[1] / patchSize[1]) + prefixTokens;
  const head = headKind(raw, family, {
    ImageClassification: 'image-classification',
    ImageClassificationWithTeacher: 'image-classification',
  });
  const bias = booleanField(raw, 'qkv_bias', true);
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
    vocabSize: 0,
    maxPositions: tokens,
    positionRows: tokens,
    labels: head === 'none' ? 0 : labelCount(raw),
    norm: { kind: 'layer', epsilon: numberField(raw, 'layer_norm_eps', 1e-12), placement: 'pre' },
    activation: activationField(raw, 'hidden_act', 'gelu'),
    causal: false,
    bias: { qkv: bias, key: bias, output: true, ffn: true },
    attentionScale: 1 / Math.sqrt(headSize),
    patches: { imageSize, patchSize, channels: countField(raw, 'num_channels', 3), prefixTokens },
    finalNorm: true,
    readout: architecture(raw).endsWith('WithTeacher') ? 'distilled' : 'first',
    headBias: true,
    normedLastHiddenState: false,
    tiedEmbeddings: false,
    dropout: numberField(raw, 'hidden_dropout_prob', 0),
    eosTokenIds: [],
    raw,
  };
}

function vitNames(base: string, config: ModelConfig): NameTable {
  const layer = `${base}.encoder.layer.{}`;
  const both = (slot: string, tensor: string): [string, string][] => [
    [`${slot}.weight`, `${tensor}.weight`],
    [`${slot}.bias`, `${tensor}.bias`],
  ];
  const classifier = config.readout === 'distilled' ? 'cls_classifier' : 'classifier';
  return {
    'embeddings.patch.weight': {
      tensor: `${base}.embeddings.patch_embeddings.projection.weight`,
      transform: 'patches',
    },
    'embeddings.patch.bias': `${base}.embeddings.patch_embeddings.projection.bias`,
    'embeddings.class': { tensor: `${base}.embeddings.cls_token`, transform: 'squeeze' },
    'embeddings.distillation': { tensor: `${base}.embeddings.distillation_token`, transform: 'squeeze' },
    'embeddings.position.weight': { tensor: `${base}.embeddings.position_embeddings`, transform: 'squeeze' },
    ...Object.fromEntries([
      ...both('layers.{}.attention.norm', `${layer}.layernorm_before`),
      ...both('layers.{}.attention.query', `${layer}.attention.attention.query`),
      ...both('layers.{}.attention.key', `${layer}.attention.attention.key`),
      ...both('layers.{}.attention.value', `${layer}.attention.attention.value`),
      ...both('layers.{}.attention.output', `${layer}.attention.output.dense`),
      ...both('layers.{}.ffn.norm', `${layer}.layernorm_after`),
      ...both('layers.{}.ffn.up', `${layer}.intermediate.dense`),
      ...both('layers.{}.ffn.down', `${layer}.output.dense`),
      ...both('norm', `${base}.layernorm`),
      ...both('head', classifier),
      ...both('head.distillation', 'distillation_classifier'),
    ]),
  };
}

const KEYS = { layers: 'num_hidden_layers', heads: 'num_attention_heads', ffn: 'intermediate_size' } as const;

/** Vision Transformer. */
export const vit: Family = {
  name: 'vit',
  modelTypes: ['vit'],
  basePrefix: 'vit.',
  configKeys: KEYS,
  readConfig: (raw) => readVitConfig(raw, 'vit', 1),
  names: (config) => vitNames('vit', config),
};

/** Data-efficient image transformer. */
export const deit: Family = {
  name: 'deit',
  modelTypes: ['deit'],
  basePrefix: 'deit.',
  configKeys: KEYS,
  readConfig: (raw) => readVitConfig(raw, 'deit', 2),
  names: (config) => vitNames('deit', config),
};
