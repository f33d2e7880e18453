// A model that learns in a moment: a Llama of few layers · hidden 32 · 4/2 heads of 16 · FFN 48, random weights, the bundled tokenizer.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { findFamily, weightSlots } from '@hip/checkpoints';
import { saveCheckpoint, SeededRandom, TransformerModel } from '@instatune/supernet';

const BUNDLED = join(import.meta.dirname, '../../demo/model');

/** Writes it into a folder. @returns its files */
export async function tinyModel(folder: string, layers = 2): Promise<string[]> {
  await tf.setBackend('cpu');
  const raw = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 32,
    num_hidden_layers: layers,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    intermediate_size: 48,
    vocab_size: 4096,
    max_position_embeddings: 4096,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    eos_token_id: 0,
  };
  const config = findFamily(raw).readConfig(raw);
  const random = new SeededRandom(11);
  const values = weightSlots(config).map(({ name, role, shape }) => {
    const size = shape.reduce((product, extent) => product * extent, 1);
    const base = role === 'norm' ? 1 : 0;
    return [name, Float32Array.from({ length: size }, () => base + 0.1 * (random.next() - 0.5))] as const;
  });
  const model = new TransformerModel(config, new Map(values));
  await saveCheckpoint(model, folder);
  model.dispose();
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(BUNDLED, name), join(folder, name));
  return ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map((name) =>
    join(folder, name),
  );
}
