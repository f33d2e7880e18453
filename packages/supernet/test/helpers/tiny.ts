// Tiny random models: real constructors, a few thousand weights.
import * as tf from '@tensorflow/tfjs';
import { findFamily, weightSlots, type ModelConfig } from '@hip/checkpoints';
import type { SpaceChoices } from '../../src/elastic/types.ts';
import { TransformerModel } from '../../src/model/transformer.ts';
import type { ModelInputs } from '../../src/model/types.ts';
import { SeededRandom } from '../../src/random.ts';

/** A Llama of 2 layers · hidden 16 · 4/2 heads of 4 · FFN 24 · vocabulary 32, with some extras. */
export function tinyLlama(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tiny(seed, {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 4,
    intermediate_size: 24,
    vocab_size: 32,
    max_position_embeddings: 64,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    ...overrides,
  });
}

/** A BERT classifier of 2 layers · hidden 16 · 4 heads · FFN 24 · 3 labels, padding id 0. */
export function tinyBert(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tiny(seed, {
    architectures: ['BertForSequenceClassification'],
    model_type: 'bert',
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 24,
    vocab_size: 32,
    max_position_embeddings: 32,
    hidden_act: 'gelu',
    pad_token_id: 0,
    id2label: { 0: 'a', 1: 'b', 2: 'c' },
    num_labels: 3,
    ...overrides,
  });
}

/** A ViT classifier of 2 layers · hidden 16 · 4 heads · FFN 24 · 3 labels, 3 × 8 × 8 pixels in 4 patches. */
export function tinyVit(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tiny(seed, {
    architectures: ['ViTForImageClassification'],
    model_type: 'vit',
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 24,
    image_size: 8,
    patch_size: 4,
    num_channels: 3,
    num_labels: 3,
    ...overrides,
  });
}

/** A GPT-2 of 2 layers · hidden 16 · 4 heads · FFN 24 · vocabulary 32 · 24 positions. */
export function tinyGpt2(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tiny(seed, {
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    n_embd: 16,
    n_layer: 2,
    n_head: 4,
    n_inner: 24,
    n_positions: 24,
    vocab_size: 32,
    ...overrides,
  });
}

/** A Qwen2 of 2 layers, the second with a window of 3 tokens. */
export function tinyQwen(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tinyLlama(seed, {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    use_sliding_window: true,
    sliding_window: 3,
    layer_types: ['full_attention', 'sliding_attention'],
    ...overrides,
  });
}

/** A RoBERTa classifier of 2 layers · hidden 16 · 4 heads · FFN 24 · 3 labels, padding id 1, one segment type. */
export function tinyRoberta(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tinyBert(seed, {
    architectures: ['RobertaForSequenceClassification'],
    model_type: 'roberta',
    pad_token_id: 1,
    type_vocab_size: 1,
    ...overrides,
  });
}

/** A BEiT-3 image classifier of 2 layers · hidden 16 · 4 heads · FFN 24 · 3 labels, 3 × 8 × 8 pixels in 4 patches. */
export function tinyBeit3(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tiny(seed, {
    architectures: ['BEiT3ForImageClassification'],
    model_type: 'beit3',
    encoder_embed_dim: 16,
    encoder_layers: 2,
    encoder_attention_heads: 4,
    encoder_ffn_embed_dim: 24,
    img_size: 8,
    patch_size: 4,
    num_labels: 3,
    ...overrides,
  });
}

/** A BEiT-3 of both branches, hidden 16 · 2 layers · 4 heads, vocabulary 32. */
export function tinyMultiway(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tinyBeit3(seed, { vocab_size: 32, max_source_positions: 16, pad_token_id: 1, ...overrides });
}

/** A DistilBERT classifier of 2 layers · hidden 16 · 4 heads · FFN 24 · 3 labels. */
export function tinyDistilbert(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tiny(seed, {
    architectures: ['DistilBertForSequenceClassification'],
    model_type: 'distilbert',
    dim: 16,
    n_layers: 2,
    n_heads: 4,
    hidden_dim: 24,
    vocab_size: 32,
    max_position_embeddings: 32,
    pad_token_id: 0,
    num_labels: 3,
    ...overrides,
  });
}

/** A ModernBERT of 2 layers, the second with a window, hidden 16 · 4 heads · FFN 24. */
export function tinyModernbert(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tinyBert(seed, {
    architectures: ['ModernBertForMaskedLM'],
    model_type: 'modernbert',
    hidden_activation: 'gelu',
    layer_types: ['full_attention', 'sliding_attention'],
    local_attention: 4,
    ...overrides,
  });
}

/** A DeBERTa-v2 classifier of 2 layers · hidden 16 · 4 heads · FFN 24. */
export function tinyDeberta(seed = 1, overrides: Record<string, unknown> = {}): TransformerModel {
  return tinyBert(seed, {
    architectures: ['DebertaV2ForSequenceClassification'],
    model_type: 'deberta-v2',
    relative_attention: true,
    position_buckets: 8,
    max_relative_positions: -1,
    norm_rel_ebd: 'layer_norm',
    pos_att_type: ['p2c', 'c2p'],
    share_att_key: true,
    position_biased_input: false,
    pooler_hidden_size: 16,
    type_vocab_size: 0,
    ...overrides,
  });
}

/** The same model with other choices; the caller disposes both. */
export async function withSpace(model: TransformerModel, choices: SpaceChoices): Promise<TransformerModel> {
  const values = new Map<string, Float32Array>();
  for (const [name, variable] of model.weights) values.set(name, (await variable.data()) as Float32Array);
  return new TransformerModel(model.config, values, choices);
}

/** Inputs of a tiny model: two texts, the second padded, or two images. */
export function tinyInputs({ config }: TransformerModel, seed = 1): ModelInputs {
  const random = new SeededRandom(seed);
  if (config.patches) {
    const [height, width] = config.patches.imageSize;
    const shape: [number, number, number, number] = [2, config.patches.channels, height, width];
    const size = shape.reduce((product, extent) => product * extent, 1);
    const pixelValues = tf.tensor4d(
      Float32Array.from({ length: size }, () => random.next() - 0.5),
      shape,
    );
    return config.multiway ? { pixelValues, ...textInputs(config, random) } : { pixelValues };
  }
  return textInputs(config, random);
}

function textInputs(config: ModelConfig, random: SeededRandom): ModelInputs {
  const ids = Array.from({ length: 12 }, () => 2 + Math.floor(random.next() * (config.vocabSize - 2)));
  if (config.causal) return { inputIds: tf.tensor2d(ids, [2, 6], 'int32') };
  ids.fill(config.padTokenId ?? 0, 9);
  const mask = ids.map((_, i) => (i < 9 ? 1 : 0));
  return { inputIds: tf.tensor2d(ids, [2, 6], 'int32'), attentionMask: tf.tensor2d(mask, [2, 6], 'int32') };
}

/** A model of any family, by what its config.json would say. */
export function tinyOf(raw: Record<string, unknown>, seed = 1): TransformerModel {
  return tiny(seed, raw);
}

function tiny(seed: number, raw: Record<string, unknown>): TransformerModel {
  const config = findFamily(raw).readConfig(raw);
  const random = new SeededRandom(seed);
  const values = new Map(
    weightSlots(config).map((slot) => {
      const size = slot.shape.reduce((count, extent) => count * extent, 1);
      const base = slot.role === 'norm' && slot.name.endsWith('.weight') ? 1 : 0;
      return [slot.name, Float32Array.from({ length: size }, () => base + 0.4 * (random.next() - 0.5))] as const;
    }),
  );
  return new TransformerModel(config, values);
}

/** Every weight, copied. */
export async function weightsOf(model: TransformerModel): Promise<Map<string, number[]>> {
  const weights = new Map<string, number[]>();
  for (const [name, variable] of model.weights) weights.set(name, [...(await variable.data())]);
  return weights;
}

/** Token data with something to learn: each token follows from the two before it. */
export function patternedTokens(count: number, vocabulary = 32): Int32Array {
  const tokens = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    tokens[i] =
      i < 2 ? i + 1 : ((tokens[i - 1] as number) * 3 + (tokens[i - 2] as number) + (i % 7 === 0 ? 5 : 0)) % vocabulary;
  }
  return tokens;
}
