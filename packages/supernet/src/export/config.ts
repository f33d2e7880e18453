// config.json of a sub-network: Hugging Face keys where the shape can be told in them, an explicit key where it cannot.
import type { SubnetConfig } from '../elastic/types.ts';
import {
  labelFields,
  labelNames,
  layerFfn,
  layerHeads,
  problemType,
  type Family,
  type ModelConfig,
} from '@hip/checkpoints';
import { ELASTIC_KEY } from '@hip/checkpoints/families';
import { subnetModelConfig } from './values.ts';

/**
 * `huggingface`: transformers loads the folder as it is. `per-layer`: the shape differs between layers (or the family ties the
 * head size to hidden size / heads), so config.json has the key `instatune_layers` and this package loads it.
 */
export type CheckpointLayout = 'huggingface' | 'per-layer';

/** Names of a classifier's outputs and its problem, as transformers writes them, where the source's configuration does not say them. */
function outputFields(config: ModelConfig): Record<string, unknown> {
  if (!['sequence-classification', 'token-classification', 'image-classification'].includes(config.head)) return {};
  const named = Object.keys(Object(config.raw['id2label']) as object).length === config.labels;
  const isText = config.head === 'sequence-classification';
  return {
    ...(!named && labelFields(labelNames(config))),
    ...(isText && (config.raw['problem_type'] ?? undefined) === undefined && { problem_type: problemType(config) }),
  };
}

/** config.json of the sub-network and which layout it is. */
export function subnetConfigJson(
  family: Family,
  config: ModelConfig,
  subnet: SubnetConfig,
  dtype: string,
): { json: Record<string, unknown>; layout: CheckpointLayout; reason: string } {
  const small = subnetModelConfig(config, subnet);
  const { hiddenSize, heads: maxHeads, layerKvHeads } = small;
  const layers = Array.from({ length: subnet.layers }, (_, layer) => layer);
  const heads = layers.map((layer) => layerHeads(small, layer));
  const ffn = layers.map((layer) => layerFfn(small, layer));
  const { configKeys } = family;
  const unequal = small.layerHeads !== undefined || small.layerFfn !== undefined;
  const headSizeTied = configKeys.headSize === undefined && maxHeads * config.headSize !== hiddenSize;
  const undivided = configKeys.headsDivideHidden === true && hiddenSize % maxHeads !== 0;
  const json: Record<string, unknown> = { ...config.raw };
  delete json[ELASTIC_KEY];
  const isLanguageModel = config.head === 'causal-lm' || config.head === 'masked-lm';
  // Said also where the source's configuration said otherwise (see hasOwnHead).
  if (isLanguageModel && !config.tiedEmbeddings) json['tie_word_embeddings'] = false;
  Object.assign(json, outputFields(config));
  for (const key of ['dtype', 'torch_dtype']) if (key in json) json[key] = dtype;
  json[configKeys.layers] = subnet.layers;
  json[configKeys.heads] = maxHeads;
  json[configKeys.ffn] = small.ffn;
  json[configKeys.hidden ?? 'hidden_size'] = hiddenSize;
  for (const key of configKeys.likeHidden ?? []) if (key in json) json[key] = hiddenSize;
  if (configKeys.kvHeads) json[configKeys.kvHeads] = small.kvHeads;
  if (configKeys.headSize) json[configKeys.headSize] = config.headSize;
  for (const key of configKeys.perLayer ?? []) {
    const list = json[key];
    if (Array.isArray(list)) json[key] = list.slice(0, subnet.layers);
  }
  if (!unequal && !headSizeTied && !undivided) {
    return { json, layout: 'huggingface', reason: 'all layers have the same heads and FFN units' };
  }
  json[ELASTIC_KEY] = { heads, ffn, ...(layerKvHeads && { kv_heads: layerKvHeads }), head_size: config.headSize };
  return {
    json,
    layout: 'per-layer',
    reason: unequal
      ? 'layers differ in heads or FFN units, or leave blocks out'
      : undivided
        ? `${family.name} in transformers requires a hidden size that is a multiple of the heads, here ${hiddenSize} and ${maxHeads}`
        : `${family.name} in transformers requires head size = hidden size / heads, here ${config.headSize} ≠ ${hiddenSize}/${maxHeads}`,
  };
}
