// Families in GGUF: the small models written as llama.cpp's converter writes them (names, pairs of query and key rows, 1 + w of Gemma's
// norms, fused tensors, scaling in metadata and tensors) are read back as the models that they were.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import '@hip/testing';
import { openCheckpoint } from '../../src/checkpoint.ts';
import type { OpenCheckpoint } from '../../src/checkpoint.ts';
import { memoryFiles } from '../../src/files/files.ts';
import { weightSlots } from '../../src/model/slots.ts';
import { readRawPieces, readRawSlot } from '../../src/weights/raw-slots.ts';
import { readSlots } from '../../src/weights/read-slots.ts';
import { floats, writeGguf } from '../helpers/gguf.ts';
import type { GgufTensor, Typed } from '../helpers/gguf.ts';

/** transformers' name → ggml's. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^lm_head/, 'output'],
  [/^model\.layers\./, 'blk.'],
  [/input_layernorm/, 'attn_norm'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/self_attn\.([qk])_norm/, 'attn_$1_norm'],
  [/self_attn\.qkv_proj/, 'attn_qkv'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/mlp\.gate_up_proj/, 'ffn_up'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
];
const PLAIN_NORMS = [[/post_attention_layernorm/, 'ffn_norm']] as const;
const OUTPUT_NORMS = [
  [/post_attention_layernorm/, 'post_attention_norm'],
  [/pre_feedforward_layernorm/, 'ffn_norm'],
  [/post_feedforward_layernorm/, 'post_ffw_norm'],
] as const;

interface Conversion {
  readonly architecture: string;
  readonly paired?: boolean;
  readonly outputNorms?: boolean;
  readonly normOffset?: number;
  readonly metadata?: Readonly<Record<string, Typed>>;
  readonly tensors?: readonly GgufTensor[];
  /** What a GGUF cannot say. */
  readonly config?: Readonly<Record<string, unknown>>;
}

async function convert(checkpoint: OpenCheckpoint, conversion: Conversion): Promise<Uint8Array> {
  const { config, weights } = checkpoint;
  const { architecture, normOffset = 0, metadata = {} } = conversion;
  const tensors: GgufTensor[] = [];
  for (const name of weights.names) {
    const { data, shape } = await weights.read(name);
    const names = [...RENAMED, ...(conversion.outputNorms ? OUTPUT_NORMS : PLAIN_NORMS)];
    const ggml = names.reduce((text, [from, to]) => text.replace(from, to), name);
    const heads = /attn_q\./.test(ggml) ? config.heads : /attn_k\./.test(ggml) ? config.kvHeads : 0;
    const stored = conversion.paired && heads > 0 ? permuted(data as Float32Array, heads) : data;
    tensors.push(
      floats(ggml, shape, ggml.endsWith('norm.weight') ? stored.map((value) => value + normOffset) : stored),
    );
  }
  const general: Record<string, Typed> = {
    'general.architecture': ['str', architecture],
    block_count: ['u32', config.layers],
    context_length: ['u32', config.maxPositions],
    embedding_length: ['u32', config.hiddenSize],
    feed_forward_length: ['u32', config.ffn],
    vocab_size: ['u32', config.vocabSize],
    'attention.head_count': ['u32', config.heads],
    'attention.head_count_kv': ['u32', config.kvHeads],
    'attention.key_length': ['u32', config.headSize],
    'attention.layer_norm_rms_epsilon': ['f32', config.norm.epsilon],
    'rope.freq_base': ['f32', config.rope!.theta],
    'rope.dimension_count': ['u32', 2 * config.rope!.inverseFrequencies.length],
    'tokenizer.ggml.bos_token_id': ['u32', 1],
    'tokenizer.ggml.eos_token_id': ['u32', 2],
    'tokenizer.ggml.padding_token_id': ['u32', 0],
    ...metadata,
  };
  const full = (key: string) => (/^(general|tokenizer)\./.test(key) ? key : `${architecture}.${key}`);
  return writeGguf(Object.fromEntries(Object.entries(general).map(([key, value]) => [full(key), value])), [
    ...tensors,
    ...(conversion.tensors ?? []),
  ]);
}

/** reshape(heads, 2, d/2, …).swapaxes(1, 2), of a weight's rows or of a bias. */
function permuted(data: Float32Array, heads: number): Float32Array {
  const size = data.length / heads;
  return data.map((_, at) => {
    const head = Math.floor(at / size);
    const rows = ROWS_OF_HEAD;
    const width = size / rows;
    const [row, column] = [Math.floor((at % size) / width), at % width];
    const source = (row % 2) * (rows / 2) + Math.floor(row / 2);
    return data[head * size + source * width + column]!;
  });
}
/** Head size of the paired models here. */
const ROWS_OF_HEAD = 6;

const f32 = (value: number): Typed => ['f32', value];
const CASES: Readonly<Record<string, Conversion>> = {
  gemma: { architecture: 'gemma', normOffset: 1 },
  gemma2: {
    architecture: 'gemma2',
    normOffset: 1,
    outputNorms: true,
    metadata: {
      'attention.sliding_window': ['u32', 5],
      attn_logit_softcapping: f32(2),
      final_logit_softcapping: f32(3),
    },
    config: { query_pre_attn_scalar: 7 },
  },
  gemma3: {
    architecture: 'gemma3',
    normOffset: 1,
    outputNorms: true,
    metadata: {
      'attention.sliding_window': ['u32', 4],
      'rope.freq_base_swa': f32(100),
      'rope.scaling.type': ['str', 'linear'],
      'rope.scaling.factor': f32(4),
    },
    config: {
      query_pre_attn_scalar: 5,
      layer_types: ['full_attention', 'sliding_attention', 'full_attention', 'sliding_attention'],
    },
  },
  granite: {
    architecture: 'granite',
    paired: true,
    metadata: {
      'attention.scale': f32(0.4),
      embedding_scale: f32(3),
      residual_scale: f32(0.35),
      logit_scale: f32(2.5),
    },
  },
  olmo2: { architecture: 'olmo2', outputNorms: true },
  'qwen3-odd': {
    architecture: 'qwen3',
    config: { use_sliding_window: true, sliding_window: 6, max_window_layers: 1 },
  },
  'llama-bias-dynamic': {
    architecture: 'llama',
    paired: true,
    config: { rope_scaling: { rope_type: 'dynamic', factor: 3 } },
  },
  'phi3-partial': {
    architecture: 'phi3',
    metadata: { 'rope.scaling.original_context_length': ['u32', 16] },
    tensors: [
      floats('rope_factors_long.weight', [3], [1, 1.7, 2.4]),
      floats('rope_factors_short.weight', [3], [1, 1.1, 1.2]),
    ],
  },
  smollm3: {
    architecture: 'smollm3',
    paired: true,
    metadata: { 'rope.scaling.type': ['str', 'linear'], 'rope.scaling.factor': f32(2) },
    config: { no_rope_layer_interval: 2, use_sliding_window: true, sliding_window: 6 },
  },
};

describe.each(Object.entries(CASES))('%s', (name, conversion) => {
  it('is read from GGUF as it was', async () => {
    await using original = await openCheckpoint(join(import.meta.dirname, '../fixtures/families', name));
    const files = memoryFiles(new Map([['model.gguf', await convert(original, conversion)]]));
    await using gguf = await openCheckpoint(files, { config: conversion.config });
    expect(gguf.family.name).toBe(original.family.name);
    expect({ ...gguf.config, raw: {} }).toEqual({ ...original.config, raw: {} });
    const slots = weightSlots(original.config);
    const [expected, values] = [await readSlots(original, slots), await readSlots(gguf, slots)];
    for (const slot of slots) {
      expect(values.get(slot.name)!, slot.name).toBeAllclose(expected.get(slot.name)!, { atol: 1e-7, rtol: 0 });
      const raw = await readRawSlot(gguf, slot);
      const pieces: Uint8Array[] = [];
      for await (const { bytes } of readRawPieces(gguf, slot, { bytes: 1000 })) pieces.push(bytes);
      expect(Buffer.concat(pieces).equals(raw.bytes), slot.name).toBe(true);
      const stored = new Float32Array(raw.bytes.buffer, raw.bytes.byteOffset, raw.byteLength / 4);
      expect(stored.toSorted(), slot.name).toEqual(values.get(slot.name)!.toSorted());
    }
  });
});

describe('rotary scaling of llama.cpp', () => {
  const llama: Readonly<Record<string, Typed>> = {
    'general.architecture': ['str', 'llama'],
    'llama.block_count': ['u32', 1],
    'llama.context_length': ['u32', 131_072],
    'llama.embedding_length': ['u32', 64],
    'llama.feed_forward_length': ['u32', 4],
    'llama.vocab_size': ['u32', 4],
    'llama.attention.head_count': ['u32', 1],
    'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
    'llama.rope.freq_base': f32(500_000),
  };
  const open = (divisors: readonly number[]) =>
    openCheckpoint(
      memoryFiles(new Map([['m.gguf', writeGguf(llama, [floats('rope_freqs.weight', [divisors.length], divisors)])]])),
    );

  it('finds Llama 3’s numbers again, and keeps other divisors', async () => {
    const scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const divisors = Array.from({ length: 32 }, (_, i) => {
      const wavelength = 2 * Math.PI * 500_000 ** (i / 32);
      const [low, high] = [8192 / 1, 8192 / 4];
      if (wavelength > low) return 8;
      const smooth = (8192 / wavelength - 1) / 3;
      return wavelength < high ? 1 : 1 / ((1 - smooth) / 8 + smooth);
    });
    const { config } = await open(divisors);
    expect(config.raw['rope_scaling']).toEqual(scaling);
    const odd = divisors.map((divisor, i) => divisor + (i === 20 ? 0.25 : 0));
    const other = (await open(odd)).config;
    expect(other.raw['rope_scaling']).toMatchObject({ rope_type: 'divisors' });
    const ratio = other.rope!.inverseFrequencies.map((f, i) => config.rope!.inverseFrequencies[i]! / f);
    expect(ratio).toBeAllclose(
      odd.map((divisor, i) => divisor / divisors[i]!),
      { rtol: 1e-5 },
    );
  });

  it('refuses architectures that it does not know, and heads that differ between layers', async () => {
    const at = (metadata: Readonly<Record<string, Typed>>) =>
      openCheckpoint(memoryFiles(new Map([['m.gguf', writeGguf(metadata)]])));
    await expect(at({ 'general.architecture': ['str', 'mamba'] })).rejects.toMatchObject({
      code: 'unsupported-model',
      details: { architecture: 'mamba' },
    });
    await expect(at({ ...llama, 'llama.attention.head_count': ['u32[]', [1, 2]] })).rejects.toMatchObject({
      code: 'invalid-config',
      details: { key: 'llama.attention.head_count' },
    });
    await expect(at({})).rejects.toMatchObject({ code: 'invalid-gguf' });
  });
});
