// Llama 1–3.x: pre-RMSNorm decoder, RoPE, grouped-query attention, SwiGLU.
import { CheckpointError } from '../errors.ts';
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
  tokenIds,
} from './hf-config.ts';
import type { RawConfig } from './hf-config.ts';
import { llamaGgufConfig, pairedGgufNames } from './gguf-llama.ts';
import { readRope } from './rope-config.ts';

/** What the Llama-like families differ in. */
export interface LlamaVariant {
  /** The family's. */
  readonly name: string;
  /** Which linear layers have a bias. */
  readonly bias: (raw: RawConfig) => ModelConfig['bias'];
  /** Queries and keys are normed, head by head (Qwen3). @defaultValue false */
  readonly qkNorm?: boolean;
  /** Default of head_dim; absent = hidden_size / heads. */
  readonly defaultHeadSize?: number;
  /** Default of max_position_embeddings. */
  readonly defaultMaxPositions: number;
  /** Default of rope_theta. @defaultValue 10,000 */
  readonly defaultTheta?: number;
  /** Default of rms_norm_eps. @defaultValue 1e-6 */
  readonly defaultEpsilon?: number;
  /** Default of tie_word_embeddings. @defaultValue false */
  readonly defaultTied?: boolean;
  /** Key of the activation and its default. @defaultValue hidden_act, silu */
  readonly activation?: readonly [key: string, fallback: string];
  /** Window of each layer in tokens, 0 = full; absent or undefined = every layer sees all. */
  readonly slidingWindows?: (raw: RawConfig, layers: number) => readonly number[] | undefined;
}

/** Tensor names shared by the Llama-like families, of causal language models. */
export const LLAMA_NAMES: NameTable = {
  'embeddings.token.weight': 'model.embed_tokens.weight',
  'layers.{}.attention.norm.weight': 'model.layers.{}.input_layernorm.weight',
  'layers.{}.attention.query.weight': 'model.layers.{}.self_attn.q_proj.weight',
  'layers.{}.attention.query.bias': 'model.layers.{}.self_attn.q_proj.bias',
  'layers.{}.attention.key.weight': 'model.layers.{}.self_attn.k_proj.weight',
  'layers.{}.attention.key.bias': 'model.layers.{}.self_attn.k_proj.bias',
  'layers.{}.attention.value.weight': 'model.layers.{}.self_attn.v_proj.weight',
  'layers.{}.attention.value.bias': 'model.layers.{}.self_attn.v_proj.bias',
  'layers.{}.attention.output.weight': 'model.layers.{}.self_attn.o_proj.weight',
  'layers.{}.attention.output.bias': 'model.layers.{}.self_attn.o_proj.bias',
  'layers.{}.attention.queryNorm.weight': 'model.layers.{}.self_attn.q_norm.weight',
  'layers.{}.attention.keyNorm.weight': 'model.layers.{}.self_attn.k_norm.weight',
  'layers.{}.ffn.norm.weight': 'model.layers.{}.post_attention_layernorm.weight',
  'layers.{}.ffn.gate.weight': 'model.layers.{}.mlp.gate_proj.weight',
  'layers.{}.ffn.gate.bias': 'model.layers.{}.mlp.gate_proj.bias',
  'layers.{}.ffn.up.weight': 'model.layers.{}.mlp.up_proj.weight',
  'layers.{}.ffn.up.bias': 'model.layers.{}.mlp.up_proj.bias',
  'layers.{}.ffn.down.weight': 'model.layers.{}.mlp.down_proj.weight',
  'layers.{}.ffn.down.bias': 'model.layers.{}.mlp.down_proj.bias',
  'norm.weight': 'model.norm.weight',
  'head.weight': 'lm_head.weight',
};

/** Configuration of a Llama-like model out of its config.json. @throws CheckpointError `invalid-config`, `unsupported-model`. */
export function readLlamaConfig(raw: RawConfig, variant: LlamaVariant): ModelConfig {
  const heads = countField(raw, 'num_attention_heads', 32);
  const hiddenSize = countField(raw, 'hidden_size', 4096);
  const headSize = headSizeField(raw, countField(raw, 'head_dim', variant.defaultHeadSize ?? hiddenSize / heads));
  const layers = countField(raw, 'num_hidden_layers', 32);
  const maxPositions = countField(raw, 'max_position_embeddings', variant.defaultMaxPositions);
  const head = headKind(raw, variant.name, {
    CausalLM: 'causal-lm',
    SequenceClassification: 'sequence-classification',
  });
  const kvHeads = countField(raw, 'num_key_value_heads', heads);
  if (heads % kvHeads !== 0) {
    throw new CheckpointError(
      'invalid-config',
      `config.json: num_attention_heads ${heads} is no multiple of num_key_value_heads ${kvHeads}`,
      { heads, kvHeads },
    );
  }
  const windows = variant.slidingWindows?.(raw, layers);
  return {
    ...CONFIG_DEFAULTS,
    family: variant.name,
    head,
    hiddenSize,
    layers,
    heads,
    kvHeads,
    headSize,
    ffn: countField(raw, 'intermediate_size'),
    ...elasticLayers(raw, layers),
    vocabSize: countField(raw, 'vocab_size'),
    maxPositions,
    labels: head === 'sequence-classification' ? labelCount(raw) : 0,
    norm: { kind: 'rms', epsilon: numberField(raw, 'rms_norm_eps', variant.defaultEpsilon ?? 1e-6), placement: 'pre' },
    activation: activationField(raw, ...(variant.activation ?? (['hidden_act', 'silu'] as const))),
    gated: true,
    causal: true,
    bias: variant.bias(raw),
    qkNorm: variant.qkNorm ?? false,
    attentionScale: 1 / Math.sqrt(headSize),
    ...(windows && { slidingWindows: windows }),
    rope: readRope(raw, headSize, maxPositions, variant.defaultTheta),
    finalNorm: true,
    readout: head === 'sequence-classification' ? 'last' : 'tokens',
    normedLastHiddenState: true,
    tiedEmbeddings: head === 'causal-lm' && booleanField(raw, 'tie_word_embeddings', variant.defaultTied ?? false),
    ...tokenIds(raw),
    raw,
  };
}

/** config.json keys of the Llama-like families. */
export const LLAMA_KEYS: Family['configKeys'] = {
  layers: 'num_hidden_layers',
  heads: 'num_attention_heads',
  kvHeads: 'num_key_value_heads',
  ffn: 'intermediate_size',
  headSize: 'head_dim',
  perLayer: ['layer_types'],
};

/** Names, with the classifier's tensor where the model is one. */
export function llamaNames(config: ModelConfig): NameTable {
  return config.head === 'sequence-classification' ? { ...LLAMA_NAMES, 'head.weight': 'score.weight' } : LLAMA_NAMES;
}

/** Biases by `attention_bias` (query, key, value and output) and `mlp_bias`, as Llama's configuration has them. */
export function configuredBias(raw: RawConfig): ModelConfig['bias'] {
  const attention = booleanField(raw, 'attention_bias', false);
  return { qkv: attention, key: attention, output: attention, ffn: booleanField(raw, 'mlp_bias', false) };
}

/** Llama. */
export const llama: Family = {
  name: 'llama',
  modelTypes: ['llama'],
  basePrefix: 'model.',
  configKeys: { ...LLAMA_KEYS, headsDivideHidden: true },
  readConfig: (raw) =>
    readLlamaConfig(raw, {
      name: 'llama',
      defaultMaxPositions: 2048,
      bias: configuredBias,
    }),
  names: llamaNames,
  gguf: {
    architectures: ['llama'],
    config: (fields) => llamaGgufConfig(fields, 'llama', 'LlamaForCausalLM'),
    names: pairedGgufNames,
  },
};
