// Where logits lie on a GPU, candidates decide what they can: the same tokens, logits only where something needs them.
import { describe, expect, it } from 'vitest';
import type { GeneratedToken, GenerateOptions } from '../../src/generation/options.ts';
import { fakeModel, VOCABULARY } from '../helpers/fake-model.ts';

/** Logits that depend on the text; `flatness` more than 1 makes many tokens alike. */
const logitsOf = (flatness: number) => (ids: readonly number[]) =>
  Float32Array.from(
    { length: VOCABULARY },
    (_, i) => (12 * Math.cos(i * 37 + ids.length * 11 + (ids.at(-1) ?? 0))) / flatness,
  );

async function both(options: GenerateOptions, flatness = 1) {
  const run = async (backend: 'wasm' | 'webgpu') => {
    const { model, engine } = await fakeModel({ follow: logitsOf(flatness), backend });
    const tokens: GeneratedToken[] = [];
    const onToken = (_: number, token: GeneratedToken) => void tokens.push(token);
    const ids = await model.generate([1, 2, 3], { maxTokens: 12, stopIds: [], onToken, ...options });
    return { ids, tokens, narrowed: engine.narrowed, computed: engine.computed };
  };
  return { near: await run('wasm'), far: await run('webgpu') };
}

describe('the next token', () => {
  it.each([
    { temperature: 0 },
    { temperature: 0, repetitionPenalty: 1.3 },
    { temperature: 0.9, topK: 20, seed: 4 },
    { temperature: 0.9, topK: 40, topP: 0.9, repetitionPenalty: 1.1, seed: 5 },
    { temperature: 1, topK: 64, minP: 0.1, seed: 6 },
  ])('is that of the logits, from candidates alone: %o', async (options) => {
    const { near, far } = await both(options);
    expect(far.ids).toEqual(near.ids);
    expect([near.narrowed, far.narrowed]).toEqual([0, 12]);
    expect(far.computed).toBe(near.computed);
  });

  it.each([
    { temperature: 0.4, topP: 0.8, seed: 1 },
    { temperature: 0.6, minP: 0.3, seed: 2 },
  ])('takes candidates for %o, too', async (options) => {
    const { far } = await both(options);
    expect(far.narrowed).toBe(12);
    expect(far.computed).toBe(14);
  });

  it('asks for logits where candidates do not decide it, and at once when that has happened often', async () => {
    for (const options of [{ temperature: 1 }, { temperature: 2, topP: 0.95 }, { temperature: 1, topK: 100 }]) {
      const { near, far } = await both(options, 4);
      expect(far.ids).toEqual(near.ids);
      expect(far.narrowed).toBe(3);
      // Three tokens were read twice.
      expect(far.computed).toBe(near.computed + 3);
    }
    const boosted = await both({ temperature: 0, repetitionPenalty: 0.5 });
    expect(boosted.far.ids).toEqual(boosted.near.ids);
  });

  it('reports the same log-probabilities, and gives hooks logits', async () => {
    const { near, far } = await both({ temperature: 0, logProbabilities: 4 });
    expect(far.narrowed).toBe(12);
    for (const [i, { id, logProbabilities }] of far.tokens.entries()) {
      const expected = near.tokens[i]!;
      expect([id, logProbabilities!.top.map((token) => token.id)]).toEqual([
        expected.id,
        expected.logProbabilities!.top.map((token) => token.id),
      ]);
      expect(logProbabilities!.logProbability).toBeCloseTo(expected.logProbabilities!.logProbability, 5);
    }
    const many = await both({ temperature: 0, logProbabilities: 100 });
    expect(many.far.tokens).toEqual(many.near.tokens);
    const hooked = await both({ temperature: 0, logitsHook: (logits) => void (logits[7] = 99) });
    expect([hooked.far.narrowed, ...new Set(hooked.far.ids)]).toEqual([0, 7]);
  });
});
