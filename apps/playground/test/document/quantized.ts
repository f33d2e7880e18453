// The bundled model as a GGUF file of the kinds that llama.cpp's Q4_K_M mixes: most weights Q4_K, values and the FFN's way down Q6_K, the rest Q8_0.
// Blocks by the layouts in packages/checkpoints/src/gguf/types.ts, each scale by its largest value: no search, as only the page's reading is tested.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, type GgufDtype } from '@hip/checkpoints';
import { writeGguf, type GgufTensor } from '../../../../packages/checkpoints/test/helpers/gguf.ts';

const BUNDLED = join(import.meta.dirname, '../../../demo/model');
const json = (name: string): unknown => JSON.parse(readFileSync(join(BUNDLED, name), 'utf8'));

interface Config {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly rms_norm_eps: number;
  readonly max_position_embeddings: number;
  readonly rope_parameters: { readonly rope_theta: number };
}

/** By the ends of safetensors' names: GGUF's name of a layer's weight, and its kind. */
const LAYER: Readonly<Record<string, readonly [name: string, dtype: GgufDtype]>> = {
  'input_layernorm.weight': ['attn_norm', 'F32'],
  'self_attn.q_proj.weight': ['attn_q', 'Q4_K'],
  'self_attn.k_proj.weight': ['attn_k', 'Q4_K'],
  'self_attn.v_proj.weight': ['attn_v', 'Q6_K'],
  'self_attn.o_proj.weight': ['attn_output', 'Q4_K'],
  'post_attention_layernorm.weight': ['ffn_norm', 'F32'],
  'mlp.gate_proj.weight': ['ffn_gate', 'Q4_K'],
  'mlp.up_proj.weight': ['ffn_up', 'Q4_K'],
  'mlp.down_proj.weight': ['ffn_down', 'Q6_K'],
};

/** The file. */
export async function quantizedModel(): Promise<Uint8Array> {
  const config = json('config.json') as Config;
  const weights = await openSafetensors(readFileSync(join(BUNDLED, 'model.safetensors')));
  const tensor = async (from: string, name: string, dtype: GgufDtype, heads = 0): Promise<GgufTensor> => {
    const { shape, data } = await weights.read(from);
    const values = Float32Array.from(data, Number);
    return { name, shape, dtype, bytes: BLOCKS[dtype]!(heads === 0 ? values : interleaved(values, heads, shape)) };
  };
  const tensors = [
    await tensor('model.embed_tokens.weight', 'token_embd.weight', 'Q8_0'),
    await tensor('model.norm.weight', 'output_norm.weight', 'F32'),
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    for (const [from, [name, dtype]] of Object.entries(LAYER)) {
      const heads = { attn_q: config.num_attention_heads, attn_k: config.num_key_value_heads }[name];
      tensors.push(await tensor(`model.layers.${layer}.${from}`, `blk.${layer}.${name}.weight`, dtype, heads));
    }
  }
  const { model } = json('tokenizer.json') as {
    model: { vocab: Record<string, number>; merges: readonly (readonly string[])[] };
  };
  const tokens = Object.entries(model.vocab)
    .sort(([, a], [, b]) => a - b)
    .map(([token]) => token);
  return writeGguf(
    {
      'general.architecture': ['str', 'llama'],
      'general.name': ['str', 'books-lm-6m'],
      'llama.context_length': ['u32', config.max_position_embeddings],
      'llama.embedding_length': ['u32', config.hidden_size],
      'llama.block_count': ['u32', config.num_hidden_layers],
      'llama.feed_forward_length': ['u32', config.intermediate_size],
      'llama.attention.head_count': ['u32', config.num_attention_heads],
      'llama.attention.head_count_kv': ['u32', config.num_key_value_heads],
      'llama.attention.layer_norm_rms_epsilon': ['f32', config.rms_norm_eps],
      'llama.rope.freq_base': ['f32', config.rope_parameters.rope_theta],
      'llama.vocab_size': ['u32', tokens.length],
      'tokenizer.ggml.model': ['str', 'gpt2'],
      'tokenizer.ggml.pre': ['str', 'smollm'],
      'tokenizer.ggml.tokens': ['str[]', tokens],
      'tokenizer.ggml.merges': ['str[]', model.merges.map((merge) => merge.join(' '))],
      'tokenizer.ggml.token_type': ['i32[]', tokens.map((_, id) => (id === 0 ? 3 : 1))],
      'tokenizer.ggml.bos_token_id': ['u32', 0],
      'tokenizer.ggml.eos_token_id': ['u32', 0],
    },
    tensors,
  );
}

/** Rows of each head as GGUF's Llama has them: pairs that are rotated together beside each other, not half a head apart. */
function interleaved(values: Float32Array, heads: number, [rows = 0, columns = 0]: readonly number[]): Float32Array {
  const half = rows / heads / 2;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const [head, within] = [Math.floor(row / (2 * half)), row % (2 * half)];
    const to = head * 2 * half + (within % half) * 2 + Math.floor(within / half);
    out.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}

const BLOCKS: Partial<Record<GgufDtype, (values: Float32Array) => Uint8Array>> = {
  F32: (values) => new Uint8Array(values.buffer),
  Q8_0: (values) => blocks(values, 32, 34, q8Block),
  Q4_K: (values) => blocks(values, 256, 144, q4kBlock),
  Q6_K: (values) => blocks(values, 256, 210, q6kBlock),
};

function blocks(
  values: Float32Array,
  size: number,
  bytes: number,
  write: (values: Float32Array, out: DataView<ArrayBuffer>) => void,
): Uint8Array {
  const out = new Uint8Array((values.length / size) * bytes);
  for (let i = 0; i * size < values.length; i++)
    write(values.subarray(i * size, (i + 1) * size), new DataView(out.buffer, i * bytes, bytes));
  return out;
}

const most = (values: Iterable<number>): number => Math.max(0, ...values);
const clamped = (value: number, least: number, largest: number): number =>
  Math.min(largest, Math.max(least, Math.round(value) || 0));

function q8Block(values: Float32Array, out: DataView): void {
  const d = Math.f16round(most(values.map(Math.abs)) / 127);
  out.setFloat16(0, d, true);
  values.forEach((value, i) => out.setInt8(2 + i, clamped(value / d, -127, 127)));
}

/** x = d · scale · (q − 32), 16 values a scale. */
function q6kBlock(values: Float32Array, out: DataView): void {
  const scales = Array.from({ length: 16 }, (_, i) => most(values.subarray(16 * i, 16 * (i + 1)).map(Math.abs)) / 31);
  const d = Math.f16round(most(scales) / 127);
  out.setFloat16(208, d, true);
  const add = (at: number, bits: number): void => out.setUint8(at, out.getUint8(at) | bits);
  for (let i = 0; i < 16; i++) out.setInt8(192 + i, clamped(scales[i]! / d, -127, 127));
  values.forEach((value, i) => {
    const q = 32 + clamped(value / (d * out.getInt8(192 + Math.floor(i / 16))), -32, 31);
    const [half, within] = [Math.floor(i / 128), i % 128];
    // Four quarters of 32 share two rows of low halves of a byte, and a row of high pairs of bits.
    const [quarter, place] = [Math.floor(within / 32), within % 32];
    add(64 * half + 32 * (quarter % 2) + place, (q & 15) << (quarter < 2 ? 0 : 4));
    add(128 + 32 * half + place, (q >> 4) << (2 * quarter));
  });
}

/** x = d · scale · q − dmin · minimum, 32 values a scale; scales and minima have six bits. */
function q4kBlock(values: Float32Array, out: DataView): void {
  const parts = Array.from({ length: 8 }, (_, i) => values.subarray(32 * i, 32 * (i + 1)));
  const minima = parts.map((part) => most(part.map((value) => -value)));
  const scales = parts.map((part, i) => (most(part) + minima[i]!) / 15);
  const [d, dmin] = [Math.f16round(most(scales) / 63), Math.f16round(most(minima) / 63)];
  out.setFloat16(0, d, true);
  out.setFloat16(2, dmin, true);
  const add = (at: number, bits: number): void => out.setUint8(at, out.getUint8(at) | bits);
  parts.forEach((part, i) => {
    const [scale, minimum] = [clamped(scales[i]! / d, 0, 63), clamped(minima[i]! / dmin, 0, 63)];
    if (i < 4) {
      add(4 + i, scale);
      add(8 + i, minimum);
    } else {
      add(8 + i, (scale & 15) | ((minimum & 15) << 4));
      add(i, (scale >> 4) << 6);
      add(4 + i, (minimum >> 4) << 6);
    }
    part.forEach((value, j) => {
      const q = clamped((value + dmin * minimum) / (d * scale), 0, 15);
      add(16 + 32 * Math.floor(i / 2) + j, q << (4 * (i % 2)));
    });
  });
}
