// The questions of quality-smollm2: what is asked stands in the context, where a seed put it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configurationOf } from '../src/quality-smollm2/configurations.ts';
import { paired } from '../src/quality-smollm2/questions.ts';
import { TASKS, taskOf, type TaskName } from '../src/quality-smollm2/tasks.ts';

/** One token a piece: a word with its blank, a digit, a sign. */
function tokenizer() {
  const pieces: string[] = [];
  return {
    encode: (text: string) =>
      (text.match(/ ?[A-Za-z]+|\d| |[^A-Za-z\d ]/g) ?? []).map((piece) => {
        if (!pieces.includes(piece)) pieces.push(piece);
        return pieces.indexOf(piece);
      }),
    decode: (ids: ArrayLike<number>) => Array.from(ids, (id) => pieces[id]).join(''),
  } as const;
}

const book = (words: ReturnType<typeof tokenizer>): number[] =>
  words.encode(Array.from({ length: 4000 }, (_, i) => ` w${'abcdefgh'[i % 8]}${'xyz'[i % 3]}`).join(''));

describe.each(Object.keys(TASKS) as TaskName[])('%s', (name) => {
  it('fits, answers what the context says, and is the same for the same seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.constantFrom(1024, 2048), (seed, tokens) => {
        const words = tokenizer();
        const text = book(words);
        const draw = () => taskOf(name, text, words as never, { tokens, seed });
        const { context, questions } = draw();
        expect(draw()).toEqual({ context, questions });
        const said = words.decode(context);
        for (const { ids, items } of questions) {
          expect(context.length + ids.length).toBeLessThanOrEqual(tokens);
          expect(items.at(-1)![1]).toBe(ids.length);
          for (const [from, to] of items) {
            const item = words.decode(ids.subarray(from, to)).trim();
            expect(item).toMatch(/^(\d{5}|[a-z]+)$/);
            expect(said).toContain(name === 'frequent words' ? ` ${item}.` : ` is ${item}.`);
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});

it('asks for as many facts as the task says', () => {
  const words = tokenizer();
  const sizes = (Object.keys(TASKS) as TaskName[]).map((name) => {
    const { questions } = taskOf(name, book(words), words as never, { tokens: 2048, seed: 1 });
    return [name, questions.length, questions[0]!.items.length];
  });
  expect(sizes).toEqual([
    ['pass-key, 1 fact', 1, 1],
    ['pass-key, 4 facts', 4, 1],
    ['needles', 1, 4],
    ['values', 1, 4],
    ['chain', 1, 1],
    ['frequent words', 1, 3],
  ]);
});

it('the most frequent words are the ones that are asked for, in order', () => {
  const words = tokenizer();
  const { context, questions } = taskOf('frequent words', book(words), words as never, { tokens: 2048, seed: 5 });
  const counts = new Map<string, number>();
  for (const [, word] of words.decode(context).matchAll(/ Note the word (\w+)\./g))
    counts.set(word!, (counts.get(word!) ?? 0) + 1);
  const [{ ids, items }] = questions as [(typeof questions)[0]];
  const asked = items.map(([from, to]) => counts.get(words.decode(ids.subarray(from, to)).trim()));
  expect(asked).toEqual([12, 9, 6]);
  expect([...counts.values()].filter((count) => count === 2)).toHaveLength(6);
});

it('refuses facts that do not fit', () => {
  const words = tokenizer();
  const draw = () => taskOf('frequent words', book(words), words as never, { tokens: 512, seed: 1 });
  expect(draw).toThrow(/tokens of facts in \d+: give a context at least four times as long/);
});

describe('paired', () => {
  it('compares answers question by question', () => {
    expect(paired([1, 1, 0, 0.5], [1, 1, 0, 0.5])).toEqual({ right: 0.625, difference: 0, interval: 0 });
    const { right, difference, interval } = paired([1, 0, 1, 0], [1, 1, 1, 1]);
    expect([right, difference]).toEqual([0.5, -0.5]);
    expect(interval).toBeCloseTo(1.96 * Math.sqrt(0.25 / 3), 10);
  });
});

describe('configurationOf', () => {
  it('takes names and changes of them', () => {
    expect(configurationOf('default').options.config).toMatchObject({ k: 320, blockK: 2 });
    expect(configurationOf('k=512').options.config).toMatchObject({ k: 512, blockK: 2, window: 64 });
    expect(configurationOf(' default:k=448,window=128,remainder=off ')).toMatchObject({
      name: 'default:k=448,window=128,remainder=off',
      options: { config: { k: 448, window: 128, remainder: undefined }, dense: 'never' },
    });
    expect(configurationOf('bounds:k=256').options.config).toMatchObject({ k: 256, blockQ: 32 });
    expect(configurationOf('default:kPerLayer=[64,96]').options.config).toMatchObject({ kPerLayer: [64, 96] });
    expect(configurationOf('profile').options.config!.layers!.length).toBe(30);
    expect(configurationOf('dense').options).toEqual({ dense: 'always' });
  });

  it('refuses others', () => {
    expect(() => configurationOf('fastest')).toThrow(/no configuration "fastest": use dense, default, bounds/);
    expect(() => configurationOf('default:depth=3')).toThrow(/"depth=3" in "default:depth=3"/);
    expect(() => configurationOf('default:k=-1')).toThrow(/k is -1/);
  });
});
