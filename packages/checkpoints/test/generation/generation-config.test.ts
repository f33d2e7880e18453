// generation_config.json by transformers' keys.
import { expect, it } from 'vitest';
import { readGenerationConfig } from '../../src/generation/generation-config.ts';

it('reads transformers’ keys', () => {
  expect(readGenerationConfig({ eos_token_id: 2, temperature: 0.6, top_p: 0.9, do_sample: true })).toEqual({
    sample: true,
    temperature: 0.6,
    topK: 50,
    topP: 0.9,
    stopIds: [2],
  });
  expect(readGenerationConfig({ top_k: -1, min_p: 0.1, repetition_penalty: 1.1, max_new_tokens: 9 })).toEqual({
    sample: false,
    topK: 0,
    minP: 0.1,
    repetitionPenalty: 1.1,
    maxTokens: 9,
  });
  expect(readGenerationConfig({ eos_token_id: [2, 5], top_p: null })).toEqual({ sample: false, stopIds: [2, 5] });
});

it('names what it cannot read', () => {
  for (const wrong of [{ eos_token_id: ['a'] }, { do_sample: 1 }, { temperature: '1' }, { repetition_penalty: 0 }]) {
    expect(() => readGenerationConfig(wrong)).toThrow(expect.objectContaining({ code: 'invalid-config' }));
  }
});
