// OLMo 2 (Ai2 2024): Llama with norms on what attention and FFN give, and on all query and key heads together.
import type { ModelConfig } from '../model/config.ts';
import type { Family, NameTable } from './family.ts';
import { llamaGgufConfig, llamaGgufNames } from './gguf-llama.ts';
import { configuredBias, LLAMA_KEYS, llamaNames, readLlamaConfig } from './llama.ts';

function olmo2Names(config: ModelConfig): NameTable {
  return {
    ...llamaNames(config),
    'layers.{}.attention.outputNorm.weight': 'model.layers.{}.post_attention_layernorm.weight',
    'layers.{}.ffn.outputNorm.weight': 'model.layers.{}.post_feedforward_layernorm.weight',
  };
}

/** OLMo 2. */
export const olmo2: Family = {
  name: 'olmo2',
  modelTypes: ['olmo2'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) => {
    const config = readLlamaConfig(raw, {
      name: 'olmo2',
      defaultMaxPositions: 2048,
      defaultEpsilon: 1e-5,
      qkNorm: true,
      bias: (json) => ({ ...configuredBias(json), ffn: false }),
    });
    return { ...config, norm: { ...config.norm, placement: 'output' }, qkNormSpan: 'all-heads' };
  },
  names: olmo2Names,
  gguf: {
    architectures: ['olmo2'],
    config: (fields) => llamaGgufConfig(fields, 'olmo2', 'Olmo2ForCausalLM'),
    names: llamaGgufNames,
  },
};
