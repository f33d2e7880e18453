// Mistral (Jiang 2023): Llama with a sliding window in every layer.
import type { Family } from './family.ts';
import { countField } from './hf-config.ts';
import { layerWindows } from './layer-types.ts';
import type { RawConfig } from './hf-config.ts';
import { LLAMA_KEYS, llamaNames, readLlamaConfig } from './llama.ts';

/** `sliding_window` of every layer: null where there is none, 4096 where nothing is said. */
function slidingWindows(raw: RawConfig, layers: number): readonly number[] | undefined {
  const size = raw['sliding_window'] === null ? 0 : countField(raw, 'sliding_window', 4096);
  return layerWindows(raw, layers, size, () => true);
}

/** Mistral. Its GGUF files say `llama`, and are read as that. */
export const mistral: Family = {
  name: 'mistral',
  modelTypes: ['mistral'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) =>
    readLlamaConfig(raw, {
      name: 'mistral',
      defaultMaxPositions: 131_072,
      bias: () => ({ qkv: false, key: false, output: false, ffn: false }),
      slidingWindows,
    }),
  names: llamaNames,
};
