// config.json of a sub-network: Hugging Face keys where the shape can be told in them, an explicit key where it cannot.
import { layerWidth } from '../elastic/slice.ts';
import type { SubnetConfig } from '../elastic/space.ts';
import { headGroup, type Family, type ModelConfig } from '@hip/checkpoints';
import { ELASTIC_KEY } from '@hip/checkpoints/families';

/**
 * `huggingface`: transformers loads the folder as it is. `per-layer`: the shape differs between layers (or the family ties the
 * head size to hidden size / heads), so config.json has the key `instatune_layers` and this package loads it.
 */
export type CheckpointLayout = 'huggingface' | 'per-layer';

/** config.json of the sub-network and which layout it is. */
export function subnetConfigJson(
  family: Family,
  config: ModelConfig,
  subnet: SubnetConfig,
  dtype: string,
): { json: Record<string, unknown>; layout: CheckpointLayout; reason: string } {
  const widths = Array.from({ length: subnet.layers }, (_, layer) => layerWidth(config, layer, subnet));
  const heads = widths.map((width) => width.heads);
  const ffn = widths.map((width) => width.ffn);
  const { configKeys } = family;
  const maxHeads = Math.max(...heads);
  const unequal = new Set(heads).size > 1 || new Set(ffn).size > 1;
  const headSizeTied = configKeys.headSize === undefined && maxHeads * config.headSize !== config.hiddenSize;
  const undivided = configKeys.headsDivideHidden === true && config.hiddenSize % maxHeads !== 0;
  const json: Record<string, unknown> = { ...config.raw };
  delete json[ELASTIC_KEY];
  const isLanguageModel = config.head === 'causal-lm' || config.head === 'masked-lm';
  // Said also where the source's configuration said otherwise (see hasOwnHead).
  if (isLanguageModel && !config.tiedEmbeddings) json['tie_word_embeddings'] = false;
  for (const key of ['dtype', 'torch_dtype']) if (key in json) json[key] = dtype;
  json[configKeys.layers] = subnet.layers;
  json[configKeys.heads] = maxHeads;
  json[configKeys.ffn] = Math.max(...ffn);
  if (configKeys.kvHeads) json[configKeys.kvHeads] = maxHeads / headGroup(config);
  if (configKeys.headSize) json[configKeys.headSize] = config.headSize;
  for (const key of configKeys.perLayer ?? []) {
    const list = json[key];
    if (Array.isArray(list)) json[key] = list.slice(0, subnet.layers);
  }
  if (!unequal && !headSizeTied && !undivided) {
    return { json, layout: 'huggingface', reason: 'all layers have the same heads and FFN units' };
  }
  json[ELASTIC_KEY] = { heads, ffn, head_size: config.headSize };
  return {
    json,
    layout: 'per-layer',
    reason: unequal
      ? 'layers differ in heads or FFN units'
      : undivided
        ? `${family.name} in transformers requires a hidden size that is a multiple of the heads, here ${config.hiddenSize} and ${maxHeads}`
        : `${family.name} in transformers requires head size = hidden size / heads, here ${config.headSize} ≠ ${config.hiddenSize}/${maxHeads}`,
  };
}
