// Tokens that are computed together and count apart: bit for bit what a call of each alone gives, with any weights and attention.
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { tinyModel } from '../helpers/tiny.ts';

const text = (length: number, seed: number) => Array.from({ length }, (_, i) => (i * i * 7 + i * seed + seed) % 40);
const wide = { hidden_size: 64, intermediate_size: 96, num_attention_heads: 8 };
const HIP = { denseBelow: 0, config: { k: 32, window: 64, sink: 4, denseLayers: 1, refreshInterval: 4 } };
const cases: Record<string, readonly [fields: object, options: EngineOptions]> = {
  'float32, dense': [{}, { weights: 'f32', attention: 'dense' }],
  'float16, HiP': [{}, { weights: 'f16', attention: HIP }],
  '8 bits, HiP': [wide, { weights: 'q8', attention: HIP }],
  '4 bits, float32 cache': [wide, { weights: 'q4', cache: 'f32', attention: HIP }],
  'rows that end inside a vector': [{ intermediate_size: 45 }, { weights: 'f16', attention: 'dense' }],
  'a sliding window': [{ model_type: 'mistral', architectures: ['MistralForCausalLM'], sliding_window: 16 }, {}],
  'frequencies that change with each token': [
    { rope_scaling: { rope_type: 'dynamic', factor: 2 }, max_position_embeddings: 64 },
    {},
  ],
};

describe('tokens apart', () => {
  it.each(Object.entries(cases))('%s', async (_, [fields, options]) => {
    const { files } = tinyModel({ num_hidden_layers: 2, ...fields });
    const common = { backend: 'wasm', threads: 2, contextTokens: 400 } as const;
    const engine = await loadEngine(files, { ...common, ...options });
    for (const length of [20, 150]) {
      const [one, many] = [engine.createSequence(), engine.createSequence()];
      for (const each of [one, many]) await each.forward(text(length, 3), { logits: 'none' });
      for (const [count, kept] of [
        [3, 3],
        [8, 2],
        [5, 1],
        [8, 8],
        [2, 1],
      ] as const) {
        const ids = text(count, length + count);
        const rows = await many.forward(ids, { logits: 'all', apart: true });
        for (let at = 0; at < kept; at++) {
          const expected = await one.forward([ids[at]!]);
          expect(rows.subarray(40 * at, 40 * (at + 1)), `${count} after ${many.length}, ${at}`).toEqual(expected);
        }
        many.truncate(one.length);
      }
      expect(await many.forward([5], { apart: true })).toEqual(await one.forward([5]));
      for (const each of [one, many]) each.dispose();
    }
    engine.close();
  });
});
