// A decoder of Qwen3-0.6B's shape with weights drawn at random, written as ONNX: times depend on shapes, not on what weights say.
import { families, findFamily, type WeightSlot } from '@hip/checkpoints';
import { seededRandom } from '@hip/checkpoints/generation';
import { exportOnnx, type OnnxDtype, type OnnxReport } from '@instatune/supernet';

/** config.json of a shape. */
export interface Shape {
  /** @defaultValue 'qwen3' */
  readonly family?: 'qwen3' | 'llama';
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffn: number;
  readonly vocabulary: number;
}

/** Qwen3-0.6B's. */
export const QWEN3: Shape = {
  layers: 28,
  hidden: 1024,
  heads: 16,
  kvHeads: 8,
  headDim: 128,
  ffn: 3072,
  vocabulary: 151_936,
};

/** SmolLM2-135M's. */
export const SMOLLM2: Shape = {
  family: 'llama',
  layers: 30,
  hidden: 576,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  ffn: 1536,
  vocabulary: 49_152,
};

/** For rehearsals on a software GPU. */
export const TINY: Shape = { layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 32, ffn: 96, vocabulary: 300 };

/** Numbers drawn once; weights are stretches of them. */
const POOL = 1 << 20;
/** Fewer of them, so that a model's files pack into a hundredth. */
export const SHORT_POOL = 1 << 17;

/** Writes the model into a folder. */
export async function writeModel(
  shape: Shape,
  folder: string,
  dtype: OnnxDtype,
  contextLength: number,
  poolLength = POOL,
): Promise<OnnxReport> {
  const { family = 'qwen3' } = shape;
  const raw = {
    architectures: [family === 'qwen3' ? 'Qwen3ForCausalLM' : 'LlamaForCausalLM'],
    model_type: family,
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    intermediate_size: shape.ffn,
    vocab_size: shape.vocabulary,
    max_position_embeddings: 40_960,
    rope_theta: 1e6,
    rms_norm_eps: 1e-6,
    hidden_act: 'silu',
    tie_word_embeddings: true,
  };
  const config = findFamily(raw, families).readConfig(raw);
  const random = seededRandom(1);
  const pool = Float32Array.from({ length: poolLength }, () => random() * 2 - 1);
  const readSlot = async ({ shape: extents, role }: WeightSlot): Promise<Float32Array> => {
    const size = extents.reduce((product, extent) => product * extent, 1);
    const values = new Float32Array(size);
    if (role === 'norm') return values.fill(1);
    const scale = role === 'embedding' ? 0.02 : 1 / Math.sqrt(extents[0]!);
    const length = Math.min(size, poolLength);
    for (let i = 0; i < length; i++) values[i] = pool[i]! * scale;
    for (let at = length; at < size; at *= 2) values.copyWithin(at, 0, Math.min(at, size - at));
    return values;
  };
  // Symmetric codes are drawn up fast.
  const quantization = { symmetric: true };
  return exportOnnx({ config, readSlot }, undefined, folder, {
    dtype,
    contextLength,
    externalData: true,
    quantization,
  });
}
