// BEiT-3 (Wang 2022), a multiway encoder with sub-LayerNorms (torchscale): images, texts, both fused; an image classifier is its vision branch.
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
  pairField,
  requireValue,
  tokenIds,
} from './hf-config.ts';

/** torchscale counts positions from 2, as fairseq did. */
const FIRST_POSITION = 2;

const LAYER = 'beit3.encoder.layers.{}';
const both = (slot: string, tensor: string): [string, string][] => [
  [`${slot}.weight`, `${tensor}.weight`],
  [`${slot}.bias`, `${tensor}.bias`],
];

/** A layer's tensors; branch A of every module is vision's, B is language's. */
const layerNames = (prefix: string, branch: 'A' | 'B'): [string, string][] => [
  ...both(`${prefix}attention.norm`, `${LAYER}.self_attn_layer_norm.${branch}`),
  ...both(`${prefix}attention.query`, `${LAYER}.self_attn.q_proj.${branch}`),
  ...both(`${prefix}attention.key`, `${LAYER}.self_attn.k_proj.${branch}`),
  ...both(`${prefix}attention.value`, `${LAYER}.self_attn.v_proj.${branch}`),
  ...both(`${prefix}attention.subNorm`, `${LAYER}.self_attn.inner_attn_ln.${branch}`),
  ...both(`${prefix}attention.output`, `${LAYER}.self_attn.out_proj.${branch}`),
  ...both(`${prefix}ffn.norm`, `${LAYER}.final_layer_norm.${branch}`),
  ...both(`${prefix}ffn.up`, `${LAYER}.ffn.${branch}.fc1`),
  ...both(`${prefix}ffn.subNorm`, `${LAYER}.ffn.${branch}.ffn_layernorm`),
  ...both(`${prefix}ffn.down`, `${LAYER}.ffn.${branch}.fc2`),
];

const TRUNK: NameTable = {
  'embeddings.patch.weight': { tensor: 'beit3.vision_embed.proj.weight', transform: 'patches' },
  'embeddings.patch.bias': 'beit3.vision_embed.proj.bias',
  'embeddings.class': { tensor: 'beit3.vision_embed.cls_token', transform: 'squeeze' },
  'embeddings.token.weight': 'beit3.text_embed.weight',
  'embeddings.position.weight': 'beit3.encoder.embed_positions.A.weight',
  'language.position.weight': 'beit3.encoder.embed_positions.B.weight',
  ...Object.fromEntries([
    ...layerNames('layers.{}.', 'A'),
    ...layerNames('layers.{}.language.', 'B'),
    ...both('norm', 'beit3.encoder.layer_norm.A'),
    ...both('language.norm', 'beit3.encoder.layer_norm.B'),
  ]),
};

const HEADS: Readonly<Record<string, NameTable>> = {
  'image-classification': Object.fromEntries([...both('head.norm', 'fc_norm'), ...both('head', 'head')]),
  'image-text-retrieval': {
    'head.image.weight': 'vision_head.weight',
    'head.text.weight': 'language_head.weight',
    'head.logitScale': 'logit_scale',
  },
  'visual-question-answering': Object.fromEntries([
    ...both('pooler.norm', 'pooler.norm'),
    ...both('pooler', 'pooler.dense'),
    ...both('head.dense', 'head.0'),
    ...both('head.norm', 'head.1'),
    ...both('head', 'head.3'),
  ]),
};

/**
 * BEiT-3. There is no transformers class: config.json carries `model_type: "beit3"` and torchscale's EncoderConfig fields
 * (`encoder_embed_dim`, `encoder_layers`, `encoder_attention_heads`, `encoder_ffn_embed_dim`, `img_size`, `patch_size`,
 * `in_chans`, `layernorm_eps`, `vocab_size`, `max_source_positions`), with `architectures` of `BEiT3Model` (both branches, no head),
 * `BEiT3ForImageClassification` (the vision branch), `BEiT3ForRetrieval` or `BEiT3ForVisualQuestionAnswering`, and `num_labels` (of the
 * latter: answers). The published classification and question answering models have no final LayerNorm: `normalize_output: false`.
 */
export const beit3: Family = {
  name: 'beit3',
  modelTypes: ['beit3'],
  basePrefix: 'beit3.',
  configKeys: {
    layers: 'encoder_layers',
    heads: 'encoder_attention_heads',
    ffn: 'encoder_ffn_embed_dim',
    hidden: 'encoder_embed_dim',
  },
  readConfig: (raw) => {
    requireValue(raw, 'subln', [true]);
    requireValue(raw, 'deepnorm', [false]);
    requireValue(raw, 'encoder_normalize_before', [true]);
    requireValue(raw, 'no_scale_embedding', [true]);
    requireValue(raw, 'layernorm_embedding', [false]);
    requireValue(raw, 'multiway', [true]);
    requireValue(raw, 'rel_pos_buckets', [0]);
    requireValue(raw, 'xpos_rel_pos', [false]);
    requireValue(raw, 'moe_freq', [0]);
    const hiddenSize = countField(raw, 'encoder_embed_dim', 768);
    const heads = countField(raw, 'encoder_attention_heads', 12);
    const layers = countField(raw, 'encoder_layers', 12);
    const headSize = headSizeField(raw, hiddenSize / heads);
    const imageSize = pairField(raw, 'img_size', 224);
    const patchSize = pairField(raw, 'patch_size', 16);
    const head = headKind(raw, 'beit3', {
      ImageClassification: 'image-classification',
      Retrieval: 'image-text-retrieval',
      VisualQuestionAnswering: 'visual-question-answering',
    });
    const multiway = head !== 'image-classification';
    const answers = head === 'visual-question-answering';
    const tokens = Math.floor(imageSize[0] / patchSize[0]) * Math.floor(imageSize[1] / patchSize[1]) + 1;
    return {
      ...CONFIG_DEFAULTS,
      family: 'beit3',
      head,
      hiddenSize,
      layers,
      heads,
      kvHeads: heads,
      headSize,
      ffn: countField(raw, 'encoder_ffn_embed_dim', 4 * hiddenSize),
      ...elasticLayers(raw, layers),
      vocabSize: multiway ? countField(raw, 'vocab_size', 64_010) : 0,
      ...(multiway && { multiway, textPositionRows: countField(raw, 'max_source_positions', 1024), zeroPadding: true }),
      maxPositions: tokens,
      positionRows: tokens + FIRST_POSITION,
      positionOffset: FIRST_POSITION,
      labels: head === 'image-classification' || answers ? labelCount(raw) : 0,
      norm: { kind: 'layer', epsilon: numberField(raw, 'layernorm_eps', 1e-5), placement: 'pre' },
      activation: activationField(raw, 'activation_fn', 'gelu'),
      causal: false,
      bias: { qkv: true, key: true, output: true, ffn: true },
      subNorm: true,
      attentionScale: 1 / Math.sqrt(headSize),
      patches: { imageSize, patchSize, channels: countField(raw, 'in_chans', 3), prefixTokens: 1 },
      finalNorm: booleanField(raw, 'normalize_output', true),
      readout: head === 'none' ? 'tokens' : multiway ? 'first' : 'mean-patches',
      readoutNorm: !multiway,
      ...(answers && { pooler: true, poolerNorm: true, headDense: 'wide' as const, headActivation: 'gelu' as const }),
      headBias: true,
      normedLastHiddenState: false,
      tiedEmbeddings: false,
      dropout: numberField(raw, 'dropout', 0),
      ...tokenIds(raw),
      raw,
    };
  },
  names: ({ head }) => ({ ...TRUNK, ...HEADS[head] }),
};
