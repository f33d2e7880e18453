// `@hip/checkpoints/families`: what the built-in families are made of, for families of one's own (packages/checkpoints/docs/adding-a-family.md).
export type {
  Family,
  GgufFormat,
  NameTable,
  StoredRows,
  TensorBinding,
  TensorName,
  TensorTransform,
} from './families/family.ts';
export {
  activationField,
  architecture,
  booleanField,
  CONFIG_DEFAULTS,
  countField,
  countListField,
  ELASTIC_KEY,
  elasticLayers,
  headKind,
  headSizeField,
  labelCount,
  numberField,
  objectField,
  optionalNumber,
  pairField,
  requireValue,
  tokenIds,
  weightAndBias,
  type RawConfig,
} from './families/hf-config.ts';
export { layerList, layerWindows } from './families/layer-types.ts';
export { frequenciesFor, inverseFrequencies, readRope } from './families/rope-config.ts';
export {
  configuredBias,
  LLAMA_KEYS,
  LLAMA_NAMES,
  llamaNames,
  readLlamaConfig,
  type LlamaVariant,
} from './families/llama.ts';
export type { GgufFields } from './families/gguf-fields.ts';
export {
  LLAMA_GGUF_NAMES,
  llamaGgufConfig,
  llamaGgufNames,
  pairedGgufNames,
  tokenFields,
  vocabulary,
} from './families/gguf-llama.ts';
export { families, findFamily } from './families/index.ts';
