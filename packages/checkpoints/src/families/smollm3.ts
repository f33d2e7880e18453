// SmolLM3 (Hugging Face 2025): Llama whose every fourth layer has no rotation (NoPE).
import type { Family } from './family.ts';
import { llamaGgufConfig, pairedGgufNames } from './gguf-llama.ts';
import { booleanField, countField } from './hf-config.ts';
import { layerList, layerWindows } from './layer-types.ts';
import type { RawConfig } from './hf-config.ts';
import { configuredBias, LLAMA_KEYS, llamaNames, readLlamaConfig } from './llama.ts';

/** `no_rope_layers`: 1 where a layer is rotated; else by interval. */
function rotatedLayers(raw: RawConfig, layers: number): readonly boolean[] {
  const listed = layerList(raw, 'no_rope_layers', layers);
  if (listed) return listed.map((rotated) => rotated !== 0 && rotated !== false);
  const interval = countField(raw, 'no_rope_layer_interval', 4);
  return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
}

/** SmolLM3. */
export const smollm3: Family = {
  name: 'smollm3',
  modelTypes: ['smollm3'],
  basePrefix: 'model.',
  configKeys: { ...LLAMA_KEYS, perLayer: ['layer_types', 'no_rope_layers'] },
  readConfig: (raw) => {
    const config = readLlamaConfig(raw, {
      name: 'smollm3',
      defaultMaxPositions: 32_768,
      defaultTheta: 2_000_000,
      defaultTied: true,
      bias: configuredBias,
      slidingWindows: (_, layers) => {
        if (!booleanField(raw, 'use_sliding_window', false) || raw['sliding_window'] === null) return undefined;
        const rotated = rotatedLayers(raw, layers);
        return layerWindows(raw, layers, countField(raw, 'sliding_window'), (layer) => !rotated[layer]);
      },
    });
    const rotated = rotatedLayers(raw, config.layers);
    return { ...config, ...(rotated.includes(false) && { rotatedLayers: rotated }) };
  },
  names: llamaNames,
  gguf: {
    architectures: ['smollm3'],
    config: (fields) => llamaGgufConfig(fields, 'smollm3', 'SmolLM3ForCausalLM'),
    names: pairedGgufNames,
  },
};
