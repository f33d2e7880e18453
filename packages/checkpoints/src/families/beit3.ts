// BEiT-3 (Wang 2022) as an image classifier: the vision expert (branch A) of a multiway encoder with sub-LayerNorms (torchscale).
import type { Family, NameTable } from './family.ts';
import {
  CONFIG_DEFAULTS,
  activationField,
  countField,
  elasticLayers,
  headKind,
  headSizeField,
  labelCount,
  numberField,
  pairField,
  requireValue,
} from './hf-config.ts';

/** torchscale counts positions from 2, as fairseq did. */
const FIRST_POSITION = 2;

const LAYER = 'beit3.encoder.layers.{}';
const both = (slot: string, tensor: string): [string, string][] => [
  [`${slot}.weight`, `${tensor}.weight`],
  [`${slot}.bias`, `${tensor}.bias`],
];

/** Branch A holds the vision weights of every multiway module; branch B (language) is not read. */
const NAMES: NameTable = {
  'embeddings.patch.weight': { tensor: 'beit3.vision_embed.proj.weight', transform: 'patches' },
  'embeddings.patch.bias': 'beit3.vision_embed.proj.bias',
  'embeddings.class': { tensor: 'beit3.vision_embed.cls_token', transform: 'squeeze' },
  'embeddings.position.weight': 'beit3.encoder.embed_positions.A.weight',
  ...Object.fromEntries([
    ...both('layers.{}.attention.norm', `${LAYER}.self_attn_layer_norm.A`),
    ...both('layers.{}.attention.query', `${LAYER}.self_attn.q_proj.A`),
    ...both('layers.{}.attention.key', `${LAYER}.self_attn.k_proj.A`),
    ...both('layers.{}.attention.value', `${LAYER}.self_attn.v_proj.A`),
    ...both('layers.{}.attention.subNorm', `${LAYER}.self_attn.inner_attn_ln.A`),
    ...both('layers.{}.attention.output', `${LAYER}.self_attn.out_proj.A`),
    ...both('layers.{}.ffn.norm', `${LAYER}.final_layer_norm.A`),
    ...both('layers.{}.ffn.up', `${LAYER}.ffn.A.fc1`),
    ...both('layers.{}.ffn.subNorm', `${LAYER}.ffn.A.ffn_layernorm`),
    ...both('layers.{}.ffn.down', `${LAYER}.ffn.A.fc2`),
    ...both('norm', 'beit3.encoder.layer_norm.A'),
    ...both('head.norm', 'fc_norm'),
    ...both('head', 'head'),
  ]),
};

/**
 * BEiT-3. There is no transformers class: config.json carries `model_type: "beit3"` and torchscale's EncoderConfig fields
 * (`encoder_embed_dim`, `encoder_layers`, `encoder_attention_heads`, `encoder_ffn_embed_dim`, `img_size`, `patch_size`,
 * `in_chans`, `layernorm_eps`) with `architectures: ["BEiT3ForImageClassification"]` and `num_labels`.
 */
export const beit3: Family = {
  name: 'beit3',
  modelTypes: ['beit3'],
  basePrefix: 'beit3.',
  configKeys: { layers: 'encoder_layers', heads: 'encoder_attention_heads', ffn: 'encoder_ffn_embed_dim' },
  readConfig: (raw) => {
    requireValue(raw, 'subln', [true]);
    requireValue(raw, 'deepnorm', [false]);
    requireValue(raw, 'encoder_normalize_before', [true]);
    requireValue(raw, 'no_scale_embedding', [true]);
    requireValue(raw, 'layernorm_embedding', [false]);
    requireValue(raw, 'multiway', [true]);
    requireValue(raw, 'normalize_output', [true]);
    requireValue(raw, 'rel_pos_buckets', [0]);
    requireValue(raw, 'xpos_rel_pos', [false]);
    requireValue(raw, 'moe_freq', [0]);
    const hiddenSize = countField(raw, 'encoder_embed_dim', 768);
    const heads = countField(raw, 'encoder_attention_heads', 12);
    const layers = countField(raw, 'encoder_layers', 12);
    const headSize = headSizeField(raw, hiddenSize / heads);
    const imageSize = pairField(raw, 'img_size', 224);
    const patchSize = pairField(raw, 'patch_size', 16);
    const head = headKind(raw, 'beit3', { ImageClassification: 'image-classification' });
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
      vocabSize: 0,
      maxPositions: tokens,
      positionRows: tokens + FIRST_POSITION,
      positionOffset: FIRST_POSITION,
      labels: head === 'none' ? 0 : labelCount(raw),
      norm: { kind: 'layer', epsilon: numberField(raw, 'layernorm_eps', 1e-5), placement: 'pre' },
      activation: activationField(raw, 'activation_fn', 'gelu'),
      causal: false,
      bias: { qkv: true, key: true, output: true, ffn: true },
      subNorm: true,
      attentionScale: 1 / Math.sqrt(headSize),
      patches: { imageSize, patchSize, channels: countField(raw, 'in_chans', 3), prefixTokens: 1 },
      finalNorm: true,
      readout: head === 'none' ? 'tokens' : 'mean-patches',
      readoutNorm: head !== 'none',
      headBias: true,
      normedLastHiddenState: false,
      tiedEmbeddings: false,
      dropout: numberField(raw, 'dropout', 0),
      eosTokenIds: [],
      raw,
    };
  },
  names: () => NAMES,
};
