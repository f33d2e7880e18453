// GGUF of the Llama-like families: config.json out of the metadata, tensor names, rotary scaling.
import type { NameTable, TensorName } from './family.ts';
import type { GgufFields } from './gguf-fields.ts';
import type { RawConfig } from './hf-config.ts';
import { llama3Frequencies } from './rope-config.ts';

const LAYER = 'blk.{}';
const both = (slot: string, tensor: string): [string, string][] => [
  [`${slot}.weight`, `${tensor}.weight`],
  [`${slot}.bias`, `${tensor}.bias`],
];

/** Tensor names that ggml gives to the Llama-like architectures. */
export const LLAMA_GGUF_NAMES: NameTable = Object.fromEntries([
  ['embeddings.token.weight', 'token_embd.weight'],
  ...both('layers.{}.attention.norm', `${LAYER}.attn_norm`),
  ...both('layers.{}.attention.query', `${LAYER}.attn_q`),
  ...both('layers.{}.attention.key', `${LAYER}.attn_k`),
  ...both('layers.{}.attention.value', `${LAYER}.attn_v`),
  ...both('layers.{}.attention.output', `${LAYER}.attn_output`),
  ...both('layers.{}.attention.queryNorm', `${LAYER}.attn_q_norm`),
  ...both('layers.{}.attention.keyNorm', `${LAYER}.attn_k_norm`),
  ...both('layers.{}.attention.outputNorm', `${LAYER}.post_attention_norm`),
  ...both('layers.{}.ffn.norm', `${LAYER}.ffn_norm`),
  ...both('layers.{}.ffn.outputNorm', `${LAYER}.post_ffw_norm`),
  ...both('layers.{}.ffn.gate', `${LAYER}.ffn_gate`),
  ...both('layers.{}.ffn.up', `${LAYER}.ffn_up`),
  ...both('layers.{}.ffn.down', `${LAYER}.ffn_down`),
  ...both('norm', 'output_norm'),
  ['head.weight', 'output.weight'],
]);

/** Names of architectures whose query and key rows ggml stores in rotation pairs (llama, granite, smollm3). */
export function pairedGgufNames(): NameTable {
  const paired = (tensor: string): TensorName => ({ tensor, paired: true });
  return {
    ...LLAMA_GGUF_NAMES,
    ...Object.fromEntries(
      ['query', 'key'].flatMap((name) =>
        ['weight', 'bias'].map((kind) => [
          `layers.{}.attention.${name}.${kind}`,
          paired(`${LAYER}.attn_${name[0]}.${kind}`),
        ]),
      ),
    ),
  };
}

/** Names of the others (qwen2, qwen3). */
export function llamaGgufNames(): NameTable {
  return LLAMA_GGUF_NAMES;
}

/**
 * config.json of a Llama-like model out of a GGUF file's metadata, in transformers' keys.
 *
 * @param modelType - the `model_type` that the family answers to
 * @param architecture - transformers' class
 * @throws CheckpointError `invalid-config`
 */
export async function llamaGgufConfig(
  fields: GgufFields,
  modelType: string,
  architecture: string,
): Promise<Record<string, unknown>> {
  const heads = fields.number('attention.head_count');
  const hiddenSize = fields.number('embedding_length');
  const headSize = fields.number('attention.key_length', fields.number('rope.dimension_count', hiddenSize / heads));
  const rotated = fields.optional('rope.dimension_count') ?? headSize;
  return {
    architectures: [architecture],
    model_type: modelType,
    hidden_size: hiddenSize,
    num_hidden_layers: fields.number('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: fields.number('attention.head_count_kv', heads),
    head_dim: headSize,
    intermediate_size: fields.number('feed_forward_length'),
    vocab_size: vocabulary(fields),
    max_position_embeddings: fields.number('context_length'),
    rms_norm_eps: fields.number('attention.layer_norm_rms_epsilon'),
    hidden_act: 'silu',
    attention_bias: fields.has('blk.0.attn_q.bias'),
    mlp_bias: fields.has('blk.0.ffn_up.bias'),
    tie_word_embeddings: !fields.has('output.weight'),
    rope_theta: fields.number('rope.freq_base', 10_000),
    rope_scaling: await ropeScaling(fields, headSize),
    ...(rotated !== headSize && { partial_rotary_factor: rotated / headSize }),
    ...tokenFields(fields),
  };
}

/** Entries of the vocabulary: said, or counted. */
export function vocabulary(fields: GgufFields): number {
  const tokens = fields.value('tokenizer.ggml.tokens');
  return fields.number('vocab_size', Array.isArray(tokens) ? tokens.length : undefined);
}

/** Ids of the special tokens, in config.json's keys. */
export function tokenFields(fields: GgufFields): RawConfig {
  const names = { bos: 'bos_token_id', eos: 'eos_token_id', padding: 'pad_token_id' };
  return Object.fromEntries(
    Object.entries(names).flatMap(([ggml, key]) => {
      const id = fields.value(`tokenizer.ggml.${ggml}_token_id`);
      return typeof id === 'number' ? [[key, id]] : [];
    }),
  );
}

async function ropeScaling(fields: GgufFields, headSize: number): Promise<RawConfig | null> {
  if (fields.has('rope_freqs.weight')) return llama3Scaling(fields, headSize);
  const type = fields.text('rope.scaling.type');
  const factor = fields.optional('rope.scaling.factor') ?? fields.optional('rope.scale_linear');
  const original = fields.optional('rope.scaling.original_context_length');
  const common = {
    ...(factor !== undefined && { factor }),
    ...(original !== undefined && { original_max_position_embeddings: original }),
  };
  if (fields.has('rope_factors_long.weight')) return longrope(fields, original);
  if (type === 'linear' && factor !== undefined && factor !== 1) return { rope_type: 'linear', factor };
  if (type === 'yarn') {
    const [fast, slow] = [
      fields.optional('rope.scaling.yarn_beta_fast'),
      fields.optional('rope.scaling.yarn_beta_slow'),
    ];
    return {
      rope_type: 'yarn',
      ...common,
      ...(fast !== undefined && { beta_fast: fast }),
      ...(slow !== undefined && { beta_slow: slow }),
    };
  }
  return null;
}

/** longrope: the factors are tensors. */
async function longrope(fields: GgufFields, original: number | undefined): Promise<RawConfig> {
  const attention = fields.optional('rope.scaling.attn_factor');
  return {
    rope_type: 'longrope',
    long_factor: await fields.floats('rope_factors_long.weight'),
    short_factor: await fields.floats('rope_factors_short.weight'),
    ...(original !== undefined && { original_max_position_embeddings: original }),
    ...(attention !== undefined && { attention_factor: attention }),
  };
}

/** Context lengths that the published Llamas were scaled from, with the factors that go with them. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/**
 * llama3 scaling: the file holds what each frequency is divided by. The published models' four numbers are found again where they give
 * those divisors; any others are kept as a list.
 */
async function llama3Scaling(fields: GgufFields, headSize: number): Promise<RawConfig> {
  const divisors = await fields.floats('rope_freqs.weight');
  const scaling = { rope_type: 'llama3', factor: Math.max(...divisors), ...LLAMA3 };
  const theta = fields.number('rope.freq_base', 10_000);
  const { base, scaled } = llama3Frequencies(scaling, theta, headSize);
  const same = divisors.every((divisor, i) => Math.abs(base[i]! / scaled[i]! / divisor - 1) < 1e-5);
  return same ? scaling : { rope_type: 'divisors', divisors };
}
