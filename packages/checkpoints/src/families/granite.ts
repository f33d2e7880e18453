// Granite 3 (IBM 2024, dense): Llama with factors on embeddings, residuals, attention scores and logits.
import type { Family } from './family.ts';
import { llamaGgufConfig, pairedGgufNames } from './gguf-llama.ts';
import { numberField } from './hf-config.ts';
import { configuredBias, LLAMA_KEYS, llamaNames, readLlamaConfig } from './llama.ts';

/** Granite (dense). */
export const granite: Family = {
  name: 'granite',
  modelTypes: ['granite'],
  basePrefix: 'model.',
  configKeys: LLAMA_KEYS,
  readConfig: (raw) => ({
    ...readLlamaConfig(raw, { name: 'granite', defaultMaxPositions: 2048, bias: configuredBias }),
    attentionScale: numberField(raw, 'attention_multiplier', 1),
    embeddingScale: numberField(raw, 'embedding_multiplier', 1),
    residualScale: numberField(raw, 'residual_multiplier', 1),
    logitScale: 1 / numberField(raw, 'logits_scaling', 1),
  }),
  names: llamaNames,
  gguf: {
    architectures: ['granite'],
    config: async (fields) => ({
      ...(await llamaGgufConfig(fields, 'granite', 'GraniteForCausalLM')),
      attention_multiplier: fields.number('attention.scale'),
      embedding_multiplier: fields.number('embedding_scale', 1),
      residual_multiplier: fields.number('residual_scale', 1),
      logits_scaling: fields.number('logit_scale', 1),
    }),
    names: pairedGgufNames,
  },
};
