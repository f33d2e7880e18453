// Phi-3, Phi-3.5 mini and Phi-4 (Microsoft 2024): Llama with fused projections, longrope and partial rotation.
import type { ModelConfig } from '../model/config.ts';
import { layerFfn, layerHeads, layerKvHeads } from '../model/slots.ts';
import type { Family, NameTable, TensorName } from './family.ts';
import { llamaGgufConfig, llamaGgufNames } from './gguf-llama.ts';
import type { GgufFields } from './gguf-fields.ts';
import { countField } from './hf-config.ts';
import { layerWindows } from './layer-types.ts';
import type { RawConfig } from './hf-config.ts';
import { LLAMA_KEYS, llamaNames, readLlamaConfig } from './llama.ts';

/** Query, key and value rows of one tensor, gate and up rows of another. */
function fusedNames(config: ModelConfig, qkv: string, gateUp: string): NameTable {
  const sizes = (layer: number) => {
    const query = layerHeads(config, layer) * config.headSize;
    return { query, key: layerKvHeads(config, layer) * config.headSize, ffn: layerFfn(config, layer) };
  };
  const attention = (from: (query: number, key: number) => number): TensorName => ({
    tensor: qkv,
    rows: (layer) => {
      const { query, key } = sizes(layer);
      return { start: from(query, key), of: query + 2 * key };
    },
  });
  const ffn = (index: number): TensorName => ({
    tensor: gateUp,
    rows: (layer) => ({ start: index * sizes(layer).ffn, of: 2 * sizes(layer).ffn }),
  });
  return {
    'layers.{}.attention.query.weight': attention(() => 0),
    'layers.{}.attention.key.weight': attention((query) => query),
    'layers.{}.attention.value.weight': attention((query, key) => query + key),
    'layers.{}.ffn.gate.weight': ffn(0),
    'layers.{}.ffn.up.weight': ffn(1),
  };
}

/** `sliding_window` of every layer, null or absent where there is none. */
function slidingWindows(raw: RawConfig, layers: number): readonly number[] | undefined {
  const size = raw['sliding_window'] ?? undefined;
  return size === undefined ? undefined : layerWindows(raw, layers, countField(raw, 'sliding_window'), () => true);
}

async function ggufConfig(fields: GgufFields): Promise<RawConfig> {
  const window = fields.optional('attention.sliding_window') ?? 0;
  const original = fields.optional('rope.scaling.original_context_length');
  return {
    ...(await llamaGgufConfig(fields, 'phi3', 'Phi3ForCausalLM')),
    sliding_window: window > 0 ? window : null,
    ...(original !== undefined && { original_max_position_embeddings: original }),
  };
}

/** Phi-3 and its successors of the same shape. */
export const phi3: Family = {
  name: 'phi3',
  modelTypes: ['phi3'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) =>
    readLlamaConfig(raw, {
      name: 'phi3',
      defaultMaxPositions: 4096,
      defaultEpsilon: 1e-5,
      bias: () => ({ qkv: false, key: false, output: false, ffn: false }),
      slidingWindows,
    }),
  names: (config) => ({
    ...llamaNames(config),
    ...fusedNames(config, 'model.layers.{}.self_attn.qkv_proj.weight', 'model.layers.{}.mlp.gate_up_proj.weight'),
  }),
  gguf: {
    architectures: ['phi3'],
    config: ggufConfig,
    names: (config) => ({
      ...llamaGgufNames(),
      ...fusedNames(config, 'blk.{}.attn_qkv.weight', 'blk.{}.ffn_up.weight'),
    }),
  },
};
