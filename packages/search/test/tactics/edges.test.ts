// Candidates on bounds: only real values that are near one are moved, all of a candidate's at once; what comes out is new and in the space.
import { boolean, categorical, integer, ordinal, permutation, Random, real, type Variable } from '@instatune/nsga2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runSearch } from '../../src/run/run-search.ts';
import { Space } from '../../src/space.ts';
import { edgeCandidates } from '../../src/tactics/edges.ts';
import type { Predicted } from '../../src/tactics/inner.ts';

const spaceOf = (space: readonly Variable[]): Space =>
  new Space({
    name: 'edges',
    space,
    objectives: [
      { name: 'a', kind: 'measured' },
      { name: 'b', kind: 'measured' },
    ],
    measure: () => ({ a: 0, b: 0 }),
  });

const predictedAt = (
  space: Space,
  genes: readonly number[],
  objectives: readonly number[] = [0, 0],
  violation = 0,
): Predicted => ({ genes, key: space.key(genes), objectives, violation });

describe('candidates on the edges', () => {
  it('have every value that is near a bound on it, and the others where they were', async () => {
    const space = spaceOf([real(0, 1), real(-10, 10), real(0, 1), real(0, 1)]);
    const found = await edgeCandidates(space, [predictedAt(space, [0.04, 9.5, 0.06, 0])]);
    expect(found).toEqual([[0, 10, 0.06, 0]]);
  });

  it('on a log scale, near is a share of the logarithm', async () => {
    const space = spaceOf([real(1e-6, 1, { scale: 'log' }), real(1e-6, 1, { scale: 'log' })]);
    expect(await edgeCandidates(space, [predictedAt(space, [1.9e-6, 0.4])])).toEqual([[1e-6, 0.4]]);
    expect(await edgeCandidates(space, [predictedAt(space, [2.1e-6, 0.6])])).toEqual([[2.1e-6, 1]]);
  });

  it('are new, once each, canonical and in the space, and differ from one predicted in real values near bounds only', async () => {
    const variables = [
      real(-5, 5),
      real(1e-4, 1, { scale: 'log' }),
      real(0, 1, { step: 0.1 }),
      real(2, 2),
      integer(3, 9),
      integer(1, 1000, { scale: 'log' }),
      categorical(['x', 'y', 'z']),
      ordinal([1, 2, 4]),
      boolean({ name: 'on' }),
      real(0, 1, { when: { variable: 'on', in: [true] } }),
      permutation(4),
    ];
    const movable = [true, true, false, false, false, false, false, false, false, true, false, false, false, false];
    const space = spaceOf(variables);
    const place = (index: number, value: number): number => space.genes[index]!.axis?.place(value) ?? value;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), fc.integer(), async (count, seed) => {
        const random = new Random(seed);
        const predicted = Array.from({ length: count }, () =>
          predictedAt(space, space.sample(random), [random.next(), random.next()]),
        );
        const found = await edgeCandidates(space, predicted);
        const keys = found.map((genes) => space.key(genes));
        expect(new Set([...keys, ...predicted.map(({ key }) => key)]).size).toBe(
          keys.length + new Set(predicted.map(({ key }) => key)).size,
        );
        for (const genes of found) {
          space.check(genes);
          expect(space.canonical(genes)).toEqual(genes);
          expect(
            predicted.some(({ genes: from }) =>
              genes.every((value, index) => {
                if (value === from[index]) return true;
                const { lower, upper } = space.genes[index]!;
                const [low, high] = [place(index, lower), place(index, upper)];
                const moved = Math.abs(place(index, from[index]!) - place(index, value));
                return movable[index]! && (value === lower || value === upper) && moved < 0.05 * (high - low);
              }),
            ),
          ).toBe(true);
        }
        expect(await edgeCandidates(space, predicted)).toEqual(found);
      }),
      { numRuns: 100 },
    );
  });

  it('are none where no value is real, and none of what is outside the bounds', async () => {
    const whole = spaceOf([integer(0, 100), real(0, 1, { step: 0.01 }), categorical(['x', 'y'])]);
    expect(await edgeCandidates(whole, [predictedAt(whole, [1, 0.01, 0])])).toEqual([]);
    const space = spaceOf([real(0, 1)]);
    expect(await edgeCandidates(space, [predictedAt(space, [0.01], [0, 0], 0.5)])).toEqual([]);
    expect(await edgeCandidates(space, [])).toEqual([]);
  });

  it('come of the best fronts alone', async () => {
    const space = spaceOf([real(0, 1), real(-1, 2)]);
    const all = Array.from({ length: 300 }, (_, i) => predictedAt(space, [0.01, i / 300], [i, i]));
    const found = await edgeCandidates(space, all);
    expect(found).toEqual(all.slice(0, 100).map(({ genes: [, y = 0] }) => [0, y]));
  });
});

describe('LINAS where the best lies on bounds', () => {
  // Roots: what is near a bound is far from what is on it.
  const steep = {
    name: 'steep',
    space: Array.from({ length: 6 }, () => real(0, 1)),
    objectives: [
      { name: 'a', kind: 'measured' as const },
      { name: 'b', kind: 'measured' as const },
    ],
    measure: ([x = 0, ...rest]: readonly number[]) => {
      return { a: x, b: 1 - x + rest.reduce((sum, y) => sum + Math.sqrt(y), 0) };
    },
  };

  it('measures there, with equal seeds the same', async () => {
    const run = async () => (await runSearch(steep, { tactic: 'linas', evaluations: 30, seed: 1 })).trials;
    const trials = await run();
    const onFront = trials.filter(({ genes }) => genes.slice(1).every((value) => value === 0));
    expect(onFront.length).toBeGreaterThan(3);
    expect((await run()).map(({ key }) => key)).toEqual(trials.map(({ key }) => key));
  });
});
