// Gemma 1, 2 and 3 as text models (Google 2024, 2025): norms of 1 + w, scaled embeddings; sliding layers, soft-caps, two rotations.
import type { ModelConfig } from '../model/config.ts';
import type { Family, NameTable } from './family.ts';
import { llamaGgufConfig, llamaGgufNames } from './gguf-llama.ts';
import type { GgufFields } from './gguf-fields.ts';
import { booleanField, countField, numberField, optionalNumber, requireValue } from './hf-config.ts';
import { layerWindows } from './layer-types.ts';
import type { RawConfig } from './hf-config.ts';
import { LLAMA_KEYS, llamaNames, readLlamaConfig } from './llama.ts';
import type { LlamaVariant } from './llama.ts';
import { readRope } from './rope-config.ts';

/** What all three share. Defaults are those of transformers' classes. */
function readGemmaConfig(
  raw: RawConfig,
  variant: Pick<LlamaVariant, 'name' | 'qkNorm' | 'slidingWindows' | 'defaultTheta'>,
): ModelConfig {
  const config = readLlamaConfig(raw, {
    defaultMaxPositions: 8192,
    defaultHeadSize: 256,
    defaultTied: true,
    activation: ['hidden_activation', 'gelu_pytorch_tanh'],
    bias: (json) => {
      const attention = booleanField(json, 'attention_bias', false);
      return { qkv: attention, key: attention, output: attention, ffn: false };
    },
    ...variant,
  });
  return {
    ...config,
    norm: { ...config.norm, offset: 1 },
    embeddingScale: Math.fround(Math.sqrt(config.hiddenSize)),
  };
}

/** Gemma 2 and 3: norms on both sides, soft-caps, their own score scale. */
function withSandwich(raw: RawConfig, config: ModelConfig): ModelConfig {
  const [attention, logits] = [
    optionalNumber(raw, 'attn_logit_softcapping'),
    optionalNumber(raw, 'final_logit_softcapping'),
  ];
  return {
    ...config,
    norm: { ...config.norm, placement: 'sandwich' },
    attentionScale: 1 / Math.sqrt(numberField(raw, 'query_pre_attn_scalar', 256)),
    ...(attention !== undefined && { attentionSoftcap: attention }),
    ...(logits !== undefined && { logitSoftcap: logits }),
  };
}

function sandwichNames(config: ModelConfig): NameTable {
  return {
    ...llamaNames(config),
    'layers.{}.attention.outputNorm.weight': 'model.layers.{}.post_attention_layernorm.weight',
    'layers.{}.ffn.norm.weight': 'model.layers.{}.pre_feedforward_layernorm.weight',
    'layers.{}.ffn.outputNorm.weight': 'model.layers.{}.post_feedforward_layernorm.weight',
  };
}

/** ggml stores 1 + w. */
function ggufNames(): NameTable {
  return Object.fromEntries(
    Object.entries(llamaGgufNames()).map(([slot, tensor]) => [
      slot,
      /norm\.weight$/i.test(slot) ? { tensor: tensor as string, add: -1 } : tensor,
    ]),
  );
}

/**
 * What the files do not say: the scores' scale is by the head size, except in the largest model of each generation, where it is by
 * hiddenSize / heads.
 */
async function ggufConfig(
  fields: GgufFields,
  modelType: string,
  architecture: string,
  layersOfLargest: number,
): Promise<Record<string, unknown>> {
  const config = await llamaGgufConfig(fields, modelType, architecture);
  const largest = fields.number('block_count') === layersOfLargest;
  const scalar = largest
    ? fields.number('embedding_length') / fields.number('attention.head_count')
    : fields.number('attention.key_length');
  const { hidden_act: _, ...rest } = config;
  return {
    ...rest,
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: scalar,
    sliding_window: fields.number('attention.sliding_window', 4096),
    attn_logit_softcapping: fields.optional('attn_logit_softcapping') ?? null,
    final_logit_softcapping: fields.optional('final_logit_softcapping') ?? null,
  };
}

/** Gemma 1. */
export const gemma: Family = {
  name: 'gemma',
  modelTypes: ['gemma'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) => readGemmaConfig(raw, { name: 'gemma' }),
  names: llamaNames,
  gguf: {
    architectures: ['gemma'],
    config: async (fields) => {
      const { hidden_act: _, ...config } = await llamaGgufConfig(fields, 'gemma', 'GemmaForCausalLM');
      return config;
    },
    names: ggufNames,
  },
};

/** Gemma 2: even layers slide. */
export const gemma2: Family = {
  name: 'gemma2',
  modelTypes: ['gemma2'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (json) => {
    const raw = { attn_logit_softcapping: 50, final_logit_softcapping: 30, ...json };
    const config = readGemmaConfig(raw, {
      name: 'gemma2',
      slidingWindows: (_, layers) =>
        layerWindows(raw, layers, countField(raw, 'sliding_window', 4096), (layer) => layer % 2 === 0),
    });
    return { ...withSandwich(raw, config), raw: json };
  },
  names: sandwichNames,
  gguf: {
    architectures: ['gemma2'],
    config: (fields) => ggufConfig(fields, 'gemma2', 'Gemma2ForCausalLM', 46),
    names: ggufNames,
  },
};

/** Gemma 3 (text): five of six layers slide, with a rotation of their own. */
export const gemma3: Family = {
  name: 'gemma3',
  modelTypes: ['gemma3_text'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) => {
    requireValue(raw, 'use_bidirectional_attention', [false]);
    const pattern = countField(raw, 'sliding_window_pattern', countField(raw, '_sliding_window_pattern', 6));
    const config = readGemmaConfig(raw, {
      name: 'gemma3',
      qkNorm: true,
      defaultTheta: 1_000_000,
      slidingWindows: (_, layers) =>
        layerWindows(raw, layers, countField(raw, 'sliding_window', 4096), (layer) => (layer + 1) % pattern !== 0),
    });
    return { ...withSandwich(raw, config), ropeLocal: localRope(raw, config) };
  },
  names: sandwichNames,
  gguf: {
    architectures: ['gemma3'],
    config: async (fields) => ({
      ...(await ggufConfig(fields, 'gemma3_text', 'Gemma3ForCausalLM', 62)),
      rope_theta: fields.number('rope.freq_base', 1_000_000),
      rope_local_base_freq: fields.number('rope.freq_base_swa', 10_000),
    }),
    names: ggufNames,
  },
};

/** 5.x nests it in rope_parameters; 4.x had `rope_local_base_freq`, never scaled. */
function localRope(raw: RawConfig, config: ModelConfig): NonNullable<ModelConfig['rope']> {
  const nested = Object(raw['rope_parameters'])['sliding_attention'] as unknown;
  if (nested !== undefined) return readRope(raw, config.headSize, config.maxPositions, 10_000, 'sliding_attention');
  return readRope(
    { rope_theta: numberField(raw, 'rope_local_base_freq', 10_000) },
    config.headSize,
    config.maxPositions,
  );
}
