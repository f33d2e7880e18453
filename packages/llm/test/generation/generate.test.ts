// Ids in, ids out: defaults of the checkpoint, stops, penalty, hook, log-probabilities, the end of the context.
import { describe, expect, it } from 'vitest';
import type { GeneratedToken } from '../../src/generation/options.ts';
import { END, fakeModel, saying, START, VOCABULARY } from '../helpers/fake-model.ts';

/** As a chat's answer begins. */
const PROMPT = [START, ...Buffer.from('assistant\n')];
const bytes = (text: string) => [...Buffer.from(text)];
/** Logits that fall with the distance from a token. */
const around = (id: number) => Float32Array.from({ length: VOCABULARY }, (_, i) => -Math.abs(i - id) / 2);

describe('generate', () => {
  it('ends at a stop id, a stop string, maxTokens, the context', async () => {
    const { model, engine } = await fakeModel({ follow: saying(bytes('one two')), contextTokens: PROMPT.length + 5 });
    expect(await model.generate(PROMPT)).toEqual(bytes('one tw'));
    expect(await model.generate(PROMPT, { maxTokens: 3 })).toEqual(bytes('one'));
    expect(await model.generate(PROMPT, { maxTokens: 0 })).toEqual([]);
    expect(await model.generate(PROMPT, { stopIds: bytes(' ') })).toEqual(bytes('one'));
    expect(await model.generate(PROMPT, { stopStrings: ['e t'] })).toEqual(bytes('one t'));
    expect(await model.generate(Int32Array.from(PROMPT), { maxTokens: 1 })).toEqual(bytes('o'));
    expect(engine.live).toBe(0);
    const { computed } = engine;
    await expect(model.generate(Array.from({ length: 17 }, () => 1))).rejects.toMatchObject({
      code: 'context-full',
      details: { tokens: 17, contextTokens: 16 },
    });
    await expect(model.generate([])).rejects.toMatchObject({ code: 'invalid-input' });
    expect(engine.computed).toBe(computed);
  });

  it('takes the checkpoint’s advice where the caller says nothing', async () => {
    const defaults = { sample: true, temperature: 5, topK: 3, maxTokens: 40, stopIds: [] };
    const { model } = await fakeModel({ follow: () => around(100), defaults });
    const ids = await model.generate([1], { seed: 2 });
    expect(ids).toHaveLength(40);
    expect([...new Set(ids)].sort((a, b) => a - b)).toEqual([99, 100, 101]);
    expect(await model.generate([1], { seed: 2 })).toEqual(ids);
    expect(await model.generate([1], { seed: 3 })).not.toEqual(ids);
    expect(await model.generate([1], { temperature: 0, maxTokens: 2 })).toEqual([100, 100]);
    expect(new Set(await model.generate([1], { minP: 0.95 }))).toEqual(new Set([100]));
    expect(new Set(await model.generate([1], { topP: 0.1 }))).toEqual(new Set([100]));
  });

  it('penalises what prompt and reply said, then asks the hook', async () => {
    const follow = () => Float32Array.from({ length: VOCABULARY }, (_, id) => (id < 5 ? 5 - id : -1));
    const { model } = await fakeModel({ follow });
    // 5 4 3 2 1 of tokens 0 to 4: what was said is worth half.
    expect(await model.generate([1], { repetitionPenalty: 2, maxTokens: 4 })).toEqual([0, 2, 0, 0]);
    const seen: (readonly number[])[] = [];
    const logitsHook = (logits: Float32Array, { ids, generated }: { ids: readonly number[]; generated: number }) => {
      seen.push([...ids]);
      expect(generated).toBe(ids.length - 1);
      expect(logits[1]).toBe(2);
      for (const id of [0, 2]) logits[id] = -Infinity;
    };
    expect(await model.generate([1], { repetitionPenalty: 2, maxTokens: 3, logitsHook })).toEqual([1, 1, 1]);
    expect(seen).toEqual([[1], [1, 1], [1, 1, 1]]);
    for (const [value, code] of [
      [NaN, 'non-finite-logits'],
      [-Infinity, 'invalid-input'],
    ] as const) {
      const hook = (logits: Float32Array) => void logits.fill(value);
      await expect(model.generate([1], { logitsHook: hook })).rejects.toMatchObject({ code });
    }
  });

  it('reports log-probabilities of the model’s own logits', async () => {
    const { model } = await fakeModel({ follow: () => around(100) });
    const tokens: GeneratedToken[] = [];
    const ids = await model.generate([100], {
      maxTokens: 2,
      repetitionPenalty: 9,
      logProbabilities: 3,
      logitsHook: (logits) => void (logits[103] = 50),
      onToken: (_, token) => tokens.push(token),
    });
    expect(ids).toEqual([103, 103]);
    const total = Math.log(around(100).reduce((sum, logit) => sum + Math.exp(logit), 0));
    for (const { id, logProbabilities } of tokens) {
      expect(id).toBe(103);
      expect(logProbabilities!.logProbability).toBeCloseTo(-1.5 - total, 5);
      expect(logProbabilities!.top.map((token) => token.id)).toEqual([100, 99, 101]);
      expect(logProbabilities!.top[0]!.logProbability).toBeCloseTo(-total, 5);
    }
  });

  it('is aborted between two tokens and within one', async () => {
    const abort = new AbortController();
    const { model, engine } = await fakeModel({ follow: () => 5 });
    const ids: number[] = [];
    const onToken = (id: number) => {
      ids.push(id);
      if (ids.length === 3) abort.abort();
    };
    await expect(model.generate([1], { signal: abort.signal, onToken })).rejects.toMatchObject({ code: 'aborted' });
    expect(ids).toEqual([5, 5, 5]);
    expect(engine.live).toBe(0);
  });

  it('says what is wrong with an option before anything is computed', async () => {
    const { model, engine } = await fakeModel();
    for (const options of [
      { maxTokens: 1.5 },
      { topK: -1 },
      { minP: 2 },
      { seed: 0.5 },
      { logProbabilities: -1 },
      { repetitionPenalty: NaN },
    ]) {
      await expect(model.generate([1], options)).rejects.toMatchObject({ code: 'invalid-input' });
    }
    expect(engine.computed).toBe(0);
    expect(END).toBe(model.generation.stopIds![0]);
  });
});
