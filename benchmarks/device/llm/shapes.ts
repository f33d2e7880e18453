// Decoders of public shapes with random weights, as folders that the engine loads: what is measured is time and memory, not text.
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalBindings, findFamily, storedShape, weightSlots } from '@hip/checkpoints';
import { seededRandom } from '@hip/checkpoints/generation';

/** config.json of public models. */
export const SHAPES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'qwen3-0.6b': {
    architectures: ['Qwen3ForCausalLM'],
    model_type: 'qwen3',
    vocab_size: 151_936,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 40_960,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    attention_bias: false,
  },
  'smollm2-135m': {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: 49_152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 100_000,
    hidden_act: 'silu',
    tie_word_embeddings: true,
  },
  tiny: {
    architectures: ['Qwen3ForCausalLM'],
    model_type: 'qwen3',
    vocab_size: 512,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 32,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    attention_bias: false,
  },
};

/** Numbers that are drawn, and then repeated: two million random halves are as good as six hundred. */
const DRAWN = 1 << 21;

/** Writes a folder of random weights, unless it is there. @returns its path */
export function randomModel(shape: string, dtype: 'F16' | 'BF16', root = '/tmp/llm-models'): string {
  const folder = join(root, `${shape}-${dtype}`);
  if (existsSync(join(folder, 'config.json'))) return folder;
  mkdirSync(folder, { recursive: true });
  const raw = SHAPES[shape]!;
  const family = findFamily(raw);
  const config = family.readConfig(raw);
  const slots = weightSlots(config);
  const tensors = canonicalBindings(family, config, slots).map(({ tensor }, i) => {
    const { shape: extent, name } = slots[i]!;
    const stored = storedShape(canonicalBindings(family, config, [slots[i]!])[0]!, extent, undefined);
    return { tensor, stored, isNorm: /norm\.weight$/i.test(name), length: stored.reduce((a, b) => a * b, 1) };
  });
  let at = 0;
  const header = JSON.stringify(
    Object.fromEntries(
      tensors.map(({ tensor, stored, length }) => {
        const begin = at;
        at += 2 * length;
        return [tensor, { dtype, shape: stored, data_offsets: [begin, at] }];
      }),
    ),
  );
  const drawn = halves(dtype);
  const one = dtype === 'F16' ? 0x3c00 : 0x3f80;
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  const size = Buffer.alloc(8);
  const padded = header.padEnd(8 * Math.ceil(header.length / 8));
  size.writeBigUInt64LE(BigInt(padded.length));
  writeSync(file, Buffer.concat([size, Buffer.from(padded)]));
  for (const { length, isNorm } of tensors) {
    const source = isNorm ? new Uint16Array(length).fill(one) : drawn;
    const bytes = Buffer.from(source.buffer);
    for (let left = 2 * length; left > 0; left -= bytes.length)
      writeSync(file, bytes.subarray(0, Math.min(left, bytes.length)));
  }
  closeSync(file);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(raw));
  return folder;
}

/** Random numbers of a deviation of 0.02, as bits. */
function halves(dtype: 'F16' | 'BF16'): Uint16Array {
  const random = seededRandom(7);
  const values = Float32Array.from(
    { length: DRAWN },
    () => 0.02 * (random() + random() + random() + random() - 2) * Math.sqrt(3),
  );
  const bits = new Uint32Array(values.buffer);
  if (dtype === 'BF16') return Uint16Array.from(bits, (word) => word >>> 16);
  return Uint16Array.from(bits, (word) => {
    const exponent = ((word >>> 23) & 255) - 112;
    const sign = (word >>> 16) & 0x8000;
    return exponent <= 0 ? sign : sign | (exponent << 10) | ((word >>> 13) & 1023);
  });
}

/** Ids that no text would have: prompts of any length. */
export function randomIds(length: number, vocabulary: number, seed = 1): Int32Array {
  const random = seededRandom(seed);
  return Int32Array.from({ length }, () => Math.floor(random() * vocabulary));
}
