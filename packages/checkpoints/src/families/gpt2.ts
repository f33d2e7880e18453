// GPT-2 (Radford 2019): pre-norm decoder, learned positions, fused qkv stored as Conv1D [in, out].
import type { Family, NameTable, TensorName } from './family.ts';
import { tokenFields, vocabulary } from './gguf-llama.ts';
import type { ModelConfig } from '../model/config.ts';
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

const asIs = (tensor: string): TensorName => ({ tensor, transform: 'as-is' });
const third = (tensor: string, index: number): TensorName => ({ tensor, transform: 'as-is', part: { index, of: 3 } });

const NAMES: NameTable = {
  'embeddings.token.weight': 'transformer.wte.weight',
  'embeddings.position.weight': 'transformer.wpe.weight',
  'layers.{}.attention.norm.weight': 'transformer.h.{}.ln_1.weight',
  'layers.{}.attention.norm.bias': 'transformer.h.{}.ln_1.bias',
  ...Object.fromEntries(
    ['query', 'key', 'value'].flatMap((name, index) =>
      ['weight', 'bias'].map((kind) => [
        `layers.{}.attention.${name}.${kind}`,
        third(`transformer.h.{}.attn.c_attn.${kind}`, index),
      ]),
    ),
  ),
  'layers.{}.attention.output.weight': asIs('transformer.h.{}.attn.c_proj.weight'),
  'layers.{}.attention.output.bias': 'transformer.h.{}.attn.c_proj.bias',
  'layers.{}.ffn.norm.weight': 'transformer.h.{}.ln_2.weight',
  'layers.{}.ffn.norm.bias': 'transformer.h.{}.ln_2.bias',
  'layers.{}.ffn.up.weight': asIs('transformer.h.{}.mlp.c_fc.weight'),
  'layers.{}.ffn.up.bias': 'transformer.h.{}.mlp.c_fc.bias',
  'layers.{}.ffn.down.weight': asIs('transformer.h.{}.mlp.c_proj.weight'),
  'layers.{}.ffn.down.bias': 'transformer.h.{}.mlp.c_proj.bias',
  'norm.weight': 'transformer.ln_f.weight',
  'norm.bias': 'transformer.ln_f.bias',
};

/** ggml stores every weight [out, in], query, key and value one after another. */
function ggufNames(config: ModelConfig): NameTable {
  const { hiddenSize: d } = config;
  const both = (slot: string, tensor: string): [string, string][] => [
    [`layers.{}.${slot}.weight`, `blk.{}.${tensor}.weight`],
    [`layers.{}.${slot}.bias`, `blk.{}.${tensor}.bias`],
  ];
  const fused = ['query', 'key', 'value'].flatMap((name, index) =>
    ['weight', 'bias'].map((kind): [string, TensorName] => {
      const tensor = `blk.{}.attn_qkv.${kind}`;
      return [`layers.{}.attention.${name}.${kind}`, { tensor, rows: () => ({ start: index * d, of: 3 * d }) }];
    }),
  );
  return Object.fromEntries<string | TensorName>([
    ['embeddings.token.weight', 'token_embd.weight'],
    ['embeddings.position.weight', 'position_embd.weight'],
    ...both('attention.norm', 'attn_norm'),
    ...fused,
    ...both('attention.output', 'attn_output'),
    ...both('ffn.norm', 'ffn_norm'),
    ...both('ffn.up', 'ffn_up'),
    ...both('ffn.down', 'ffn_down'),
    ['norm.weight', 'output_norm.weight'],
    ['norm.bias', 'output_norm.bias'],
    ['head.weight', 'output.weight'],
  ]);
}

/** GPT-2. */
export const gpt2: Family = {
  name: 'gpt2',
  modelTypes: ['gpt2'],
  basePrefix: 'transformer.',
  configKeys: { layers: 'n_layer', heads: 'n_head', ffn: 'n_inner', hidden: 'n_embd' },
  readConfig: (raw) => {
    requireValue(raw, 'add_cross_attention', [false]);
    requireValue(raw, 'scale_attn_by_inverse_layer_idx', [false]);
    const hiddenSize = countField(raw, 'n_embd', 768);
    const heads = countField(raw, 'n_head', 12);
    const layers = countField(raw, 'n_layer', 12);
    const headSize = headSizeField(raw, hiddenSize / heads);
    const positions = countField(raw, 'n_positions', 1024);
    const head = headKind(raw, 'gpt2', {
      LMHead: 'causal-lm',
      CausalLM: 'causal-lm',
      SequenceClassification: 'sequence-classification',
    });
    return {
      ...CONFIG_DEFAULTS,
      family: 'gpt2',
      head,
      hiddenSize,
      layers,
      heads,
      kvHeads: heads,
      headSize,
      ffn: countField(raw, 'n_inner', 4 * hiddenSize),
      ...elasticLayers(raw, layers),
      vocabSize: countField(raw, 'vocab_size', 50_257),
      maxPositions: positions,
      positionRows: positions,
      labels: head === 'sequence-classification' ? labelCount(raw) : 0,
      norm: { kind: 'layer', epsilon: numberField(raw, 'layer_norm_epsilon', 1e-5), placement: 'pre' },
      activation: activationField(raw, 'activation_function', 'gelu_new'),
      causal: true,
      bias: { qkv: true, key: true, output: true, ffn: true },
      attentionScale: booleanField(raw, 'scale_attn_weights', true) ? 1 / Math.sqrt(headSize) : 1,
      finalNorm: true,
      readout: head === 'sequence-classification' ? 'last' : 'tokens',
      normedLastHiddenState: true,
      tiedEmbeddings: head === 'causal-lm' && booleanField(raw, 'tie_word_embeddings', true),
      dropout: numberField(raw, 'resid_pdrop', 0.1),
      ...tokenIds(raw),
      raw,
    };
  },
  names: (config) => ({
    ...NAMES,
    'head.weight': config.head === 'sequence-classification' ? 'score.weight' : 'lm_head.weight',
  }),
  gguf: {
    architectures: ['gpt2'],
    config: (fields) => ({
      architectures: ['GPT2LMHeadModel'],
      model_type: 'gpt2',
      n_embd: fields.number('embedding_length'),
      n_head: fields.number('attention.head_count'),
      n_layer: fields.number('block_count'),
      n_inner: fields.number('feed_forward_length'),
      n_positions: fields.number('context_length'),
      vocab_size: vocabulary(fields),
      layer_norm_epsilon: fields.number('attention.layer_norm_epsilon'),
      tie_word_embeddings: !fields.has('output.weight'),
      ...tokenFields(fields),
    }),
    names: ggufNames,
  },
};
