// Speculative decoding: with any draft, of any length, the text, its cache and what is reported are those without one.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '@hip/checkpoints/generation';
import { DraftLength, MOST_DRAFTED } from '../../src/speculative/draft-length.ts';
import { requireSameTokens } from '../../src/speculative/load-draft.ts';
import { partsOf } from '../../src/model/language-model.ts';
import type { FakeEngine } from '../helpers/fake-engine.ts';
import { fakeModel, hashed } from '../helpers/fake-model.ts';

/** Agrees with the model at a share of the places. */
const agreeing =
  (share: number) =>
  (ids: readonly number[]): number => {
    const random = seededRandom(ids.length * 31 + (ids.at(-1) ?? 0));
    return random() < share ? hashed(ids) : 97 + Math.floor(random() * 26);
  };

/** Logits whose likeliest token is the model's, and others nearly as likely: for draws. */
const uncertain = (ids: readonly number[]): Float32Array => {
  const random = seededRandom(ids.reduce((sum, id) => Math.imul(sum, 31) + id, 7) >>> 0);
  return Float32Array.from({ length: 260 }, (_, id) => (id >= 97 && id < 123 ? 3 * random() : -20));
};

describe('a text with a draft', () => {
  it('is the text without one: drafts that agree always, sometimes, never; greedy and drawn; cut by any stop', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 0.3, 0.7, 1),
        fc.option(fc.integer({ min: 0, max: MOST_DRAFTED }), { nil: undefined }),
        fc.constantFrom(0, 0.8, 3),
        fc.string({ maxLength: 12 }),
        fc.integer({ min: 0, max: 40 }),
        fc.constantFrom(undefined, 60, 75),
        fc.constantFrom(undefined, 1.3),
        async (share, draftTokens, temperature, question, maxTokens, contextTokens, repetitionPenalty) => {
          const options = { follow: temperature > 0 ? uncertain : hashed, ...(contextTokens && { contextTokens }) };
          const plain = await fakeModel(options);
          const drafted = await fakeModel({ ...options, draft: agreeing(share) });
          const asked = { maxTokens, temperature, seed: 5, repetitionPenalty, logProbabilities: 1 };
          const seen: unknown[][] = [[], []];
          const hooked = (at: number) => ({
            ...asked,
            draftTokens,
            onToken: (id: number, token: unknown) => seen[at]!.push([id, token]),
            logitsHook: (logits: Float32Array, context: { ids: readonly number[]; generated: number }) => {
              seen[at]!.push([...context.ids, context.generated]);
              logits[100] = -Infinity;
            },
          });
          using one = plain.model.chat();
          using two = drafted.model.chat();
          for (const text of [question, 'and then?']) {
            const [a, b] = [one.send(text, hooked(0)), two.send(text, hooked(1))];
            const [expected, found] = await Promise.all([
              a.text().catch((error: { code: string }) => error.code),
              b.text().catch((error: { code: string }) => error.code),
            ]);
            expect(found).toBe(expected);
            expect(seen[1]).toEqual(seen[0]);
            expect(two.cachedTokens).toBe(one.cachedTokens);
            expect(two.messages).toEqual(one.messages);
            const { promptMs: _, generateMs: __, ...usage } = a.usage!;
            expect(b.usage).toMatchObject(usage);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('takes fewer steps of the model where the draft agrees, and is left at any point with nothing behind', async () => {
    const { model, engine } = await fakeModel({ follow: () => 97, draft: () => 97 });
    let steps = 0;
    const answer = async (draftTokens: number) => {
      const before = engine.computed;
      steps = 0;
      const ids = await model.generate([1, 2, 3], { maxTokens: 33, draftTokens, onToken: () => steps++ });
      return { ids, computed: engine.computed - before };
    };
    const [plain, drafted] = [await answer(0), await answer(7)];
    expect(drafted.ids).toEqual(plain.ids);
    expect(steps).toBe(33);
    using chat = model.chat();
    const pieces = chat.send('hello', { draftTokens: 7 })[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await pieces.next();
    await pieces.return?.();
    const { messages, cachedTokens } = chat;
    const other = await fakeModel({ follow: () => 97 });
    using same = other.model.chat();
    const theirs = same.send('hello')[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await theirs.next();
    await theirs.return?.();
    expect([messages, cachedTokens]).toEqual([same.messages, same.cachedTokens]);
    using fork = chat.fork();
    expect(await fork.send('and?', { maxTokens: 9 }).text()).toBe(await same.send('and?', { maxTokens: 9 }).text());
    for (const draftTokens of [-1, 8, 1.5]) {
      await expect(model.generate([1], { draftTokens })).rejects.toMatchObject({ code: 'invalid-input' });
    }
  });

  it('of a draft that did not pay in one text is not tried at the beginning of the next', async () => {
    const { model } = await fakeModel({ follow: () => 97, draft: () => 98 });
    const draft = partsOf(model).draft!.engine as FakeEngine;
    await model.generate([1, 2, 3], { maxTokens: 6 });
    const { computed } = draft;
    expect(computed).toBeGreaterThan(0);
    expect(await model.generate([4, 5, 6], { maxTokens: 6 })).toHaveLength(6);
    expect(draft.computed).toBe(computed);
  });

  it('ends with the draft’s engine, not because of it', async () => {
    const { model } = await fakeModel({
      draft: () => {
        throw Object.assign(new Error('none'), {});
      },
    });
    await expect(model.generate([1, 2], { maxTokens: 5, draftTokens: 3 })).rejects.toThrow('none');
    const nan = await fakeModel({ draft: () => new Float32Array(200).fill(NaN) });
    const plain = await fakeModel();
    expect(await nan.model.generate([1, 2], { maxTokens: 9, draftTokens: 3 })).toEqual(
      await plain.model.generate([1, 2], { maxTokens: 9 }),
    );
    nan.model.close();
  });
});

describe('the same tokens', () => {
  it('are required of a draft', async () => {
    const [a, b] = [await fakeModel(), await fakeModel({ vocabulary: 300 })];
    const parts = ({ engine, tokenizer }: typeof a) => ({ engine, tokenizer });
    expect(() => requireSameTokens(parts(a), parts(b))).not.toThrow();
    const other = { ...a.tokenizer, encode: (text: string) => [...a.tokenizer.encode(text), 1] };
    expect(() => requireSameTokens(parts(a), { engine: a.engine, tokenizer: other })).toThrow(/other tokens/);
    const decoding = {
      ...a.tokenizer,
      decode: (ids: readonly number[]) => (ids[0] === 101 ? 'x' : a.tokenizer.decode(ids)),
    };
    expect(() => requireSameTokens(parts(a), { engine: a.engine, tokenizer: decoding })).toThrow(/token 101/);
    const bare = (vocabulary: number) => ({ engine: { vocabulary } as never, tokenizer: undefined });
    expect(() => requireSameTokens(bare(10), bare(11))).toThrow(/11 tokens/);
    expect(() => requireSameTokens(bare(10), bare(10))).not.toThrow();
  });
});

describe('DraftLength', () => {
  /** Plays rounds of a machine and a draft. @returns mean proposals of the last rounds, and the speed against going without */
  function played({ agreement, draft, row }: { agreement: number; draft: number; row: number }) {
    const length = new DraftLength();
    const random = seededRandom(3);
    let [tokens, ms, proposals] = [0, 0, 0];
    for (let round = 0; round < 600; round++) {
      const proposed = length.next();
      let accepted = 0;
      while (accepted < proposed && random() < agreement) accepted++;
      const [draftMs, checkMs] = [proposed * draft * 10, 10 * (1 + proposed * row)];
      length.note({ proposed, accepted, draftMs, checkMs });
      if (round < 300) continue;
      tokens += accepted + 1;
      ms += draftMs + checkMs;
      proposals += proposed;
    }
    return { proposals: proposals / 300, speed: (10 * tokens) / ms };
  }

  it('proposes many where that is cheap and agreed with, few or none where it does not pay', () => {
    const cheap = played({ agreement: 0.9, draft: 0.02, row: 0.05 });
    expect(cheap.proposals).toBeGreaterThan(5);
    expect(cheap.speed).toBeGreaterThan(2.5);
    const dear = played({ agreement: 0.5, draft: 0.4, row: 0.9 });
    expect(dear.proposals).toBeLessThan(0.3);
    expect(dear.speed).toBeGreaterThan(0.95);
    const middle = played({ agreement: 0.6, draft: 0.1, row: 0.1 });
    expect(middle.proposals).toBeGreaterThan(1);
    expect(middle.proposals).toBeLessThan(5);
    expect(middle.speed).toBeGreaterThan(1.3);
  });
});
