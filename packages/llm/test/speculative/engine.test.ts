// Speculative decoding on the engine: greedy and drawn texts equal bit for bit, dense and HiP, with drafts of other weights.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadLanguageModel } from '../../src/model/load.ts';
import type { LanguageModel } from '../../src/model/language-model.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { tinyModel } from '../helpers/tiny.ts';

const HIP = { denseBelow: 0, config: { k: 32, window: 64, sink: 4, denseLayers: 1 } };
const wide = { hidden_size: 64, intermediate_size: 96, num_attention_heads: 8 };
const target = tinyModel(wide).files;
/** The model itself, another one, and one that is smaller. */
const drafts = {
  itself: target,
  'a stranger': tinyModel({ ...wide, num_hidden_layers: 1 }, { seed: 9 }).files,
  'a smaller one': tinyModel({ ...wide, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 1 }).files,
};
const settings: Record<string, EngineOptions> = {
  'dense, 4 bits': { weights: 'q4', attention: 'dense' },
  'HiP, float16': { weights: 'f16', attention: HIP },
};

describe.each(Object.entries(settings))('%s', (_, { weights, attention }) => {
  const options = { backend: 'wasm', threads: 1, contextTokens: 300, weights, attention } as const;
  let plain: LanguageModel;
  const drafted: LanguageModel[] = [];
  beforeAll(async () => {
    plain = await loadLanguageModel(target, options);
    for (const draft of Object.values(drafts)) drafted.push(await loadLanguageModel(target, { ...options, draft }));
  });
  afterAll(() => {
    for (const each of [plain, ...drafted]) each.close();
  });

  it('gives the ids that it gives without a draft', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(39), { minLength: 1, maxLength: 220 }),
        fc.constantFrom(0, 0.9),
        fc.option(fc.integer({ min: 1, max: 7 }), { nil: undefined }),
        fc.nat(1000),
        async (prompt, temperature, draftTokens, seed) => {
          const asked = { maxTokens: 24, temperature, seed, stopIds: [] };
          const expected = await plain.generate(prompt, asked);
          for (const model of drafted)
            expect(await model.generate(prompt, { ...asked, draftTokens })).toEqual(expected);
        },
      ),
      { numRuns: 12 },
    );
    for (const model of drafted) expect(model.memory.cache).toBe(0);
  });
});

it('a draft of another vocabulary is refused, and nothing is left', async () => {
  const options = { backend: 'wasm', threads: 1 } as const;
  const draft = tinyModel({ vocab_size: 41 }).files;
  await expect(loadLanguageModel(target, { ...options, draft })).rejects.toMatchObject({ code: 'invalid-input' });
  const shared = await loadLanguageModel(drafts['a smaller one'], options);
  const model = await loadLanguageModel(target, { ...options, draft: shared });
  model.close();
  expect(await shared.generate([1, 2], { maxTokens: 2, temperature: 0, stopIds: [] })).toHaveLength(2);
  shared.close();
});
