// Qwen2/2.5 (bias on q, k, v) and Qwen3 (RMS norm on every query and key head, free head size): Llama-like decoders.
import { booleanField, countField } from './hf-config.ts';
import { layerWindows } from './layer-types.ts';
import type { RawConfig } from './hf-config.ts';
import type { Family } from './family.ts';
import { llamaGgufConfig, llamaGgufNames } from './gguf-llama.ts';
import { LLAMA_KEYS, llamaNames, readLlamaConfig } from './llama.ts';

/** Sliding windows: `layer_types` (5.x, late 4.x), else layers from max_window_layers on when use_sliding_window. */
function slidingWindows(raw: RawConfig, layers: number): readonly number[] | undefined {
  if (!booleanField(raw, 'use_sliding_window', false)) return undefined;
  if (raw['sliding_window'] === null) return undefined;
  const size = countField(raw, 'sliding_window', 4096);
  const first = typeof raw['max_window_layers'] === 'number' ? raw['max_window_layers'] : 28;
  return layerWindows(raw, layers, size, (layer) => layer >= first);
}

/** Qwen2 and Qwen2.5. */
export const qwen2: Family = {
  name: 'qwen2',
  modelTypes: ['qwen2'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) =>
    readLlamaConfig(raw, {
      name: 'qwen2',
      defaultMaxPositions: 32_768,
      bias: () => ({ qkv: true, key: true, output: false, ffn: false }),
      slidingWindows,
    }),
  names: llamaNames,
  gguf: {
    architectures: ['qwen2'],
    config: (fields) => llamaGgufConfig(fields, 'qwen2', 'Qwen2ForCausalLM'),
    names: llamaGgufNames,
  },
};

/** Qwen3 (dense). */
export const qwen3: Family = {
  name: 'qwen3',
  modelTypes: ['qwen3'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) =>
    readLlamaConfig(raw, {
      name: 'qwen3',
      defaultMaxPositions: 32_768,
      defaultHeadSize: 128,
      qkNorm: true,
      bias: (config) => {
        const attention = booleanField(config, 'attention_bias', false);
        return { qkv: attention, key: attention, output: attention, ffn: false };
      },
      slidingWindows,
    }),
  names: llamaNames,
  gguf: {
    architectures: ['qwen3'],
    config: (fields) => llamaGgufConfig(fields, 'qwen3', 'Qwen3ForCausalLM'),
    names: llamaGgufNames,
  },
};
