// `@hip/checkpoints/families`: what the built-in families are made of, for families of one's own (packages/checkpoints/docs/adding-a-family.md).
export type { Family, NameTable, TensorBinding, TensorName, TensorTransform } from './families/family.ts';
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
  pairField,
  requireValue,
  tokenIds,
  type RawConfig,
} from './families/hf-config.ts';
export { inverseFrequencies, readRope } from './families/rope-config.ts';
export { LLAMA_KEYS, LLAMA_NAMES, llamaNames, readLlamaConfig, type LlamaVariant } from './families/llama.ts';
export { families, findFamily } from './families/index.ts';
