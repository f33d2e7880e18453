// Parzen estimators: candidates of the space, near what is good, for every kind of variable; alike for a seed.
import { boolean, categorical, integer, permutation, Random, real, type Variable } from '@instatune/nsga2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Space } from '../../src/space.ts';
import type { Trial } from '../../src/study/trial.ts';
import { parzenCandidates } from '../../src/tactics/parzen.ts';

const spaceOf = (space: readonly Variable[]): Space =>
  new Space({
    name: 'parzen',
    space,
    objectives: [
      { name: 'a', kind: 'measured' },
      { name: 'b', kind: 'measured' },
    ],
    measure: () => ({ a: 0, b: 0 }),
  });

function trialsOf(
  space: Space,
  count: number,
  valuesOf: (genes: readonly number[]) => readonly [number, number] | undefined,
) {
  const random = new Random(5);
  return Array.from({ length: count }, (_, number): Trial => {
    const genes = space.sample(random);
    const base = { number, round: 0, origin: 'random', genes, key: space.key(genes), seed: 0, attempts: 1 };
    const values = valuesOf(genes);
    if (!values) return { ...base, status: 'failed', error: 'no' };
    return { ...base, status: 'complete', values: { a: values[0], b: values[1] } };
  });
}

describe('Parzen candidates', () => {
  it('are in the space, whatever its variables, and canonical', async () => {
    const variables = [
      real(-5, 5),
      real(1e-4, 1, { scale: 'log' }),
      real(0, 1, { step: 0.1 }),
      integer(3, 9),
      integer(4, 4),
      categorical(['x', 'y', 'z']),
      boolean(),
      permutation(4),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.subarray(variables, { minLength: 1 }),
        fc.integer({ min: 2, max: 40 }),
        fc.integer(),
        async (own, count, seed) => {
          const space = spaceOf(own);
          const trials = trialsOf(space, count, (genes) => [genes[0]!, -genes.at(-1)!]);
          const found = await parzenCandidates(space, trials, [], new Random(seed), 9);
          for (const genes of found) {
            space.check(genes);
            expect(space.canonical(genes)).toEqual(genes);
          }
          expect(found.length).toBe(9);
          expect(await parzenCandidates(space, trials, [], new Random(seed), 9)).toEqual(found);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([150, 5000])(
    'gather where the good are of %i, gene by gene; what has no part in it stays wide',
    async (count) => {
      const space = spaceOf([real(0, 1), real(0, 1), categorical(['x', 'y', 'z'])]);
      const trials = trialsOf(space, count, ([x = 0, , c]) => {
        const off = (x - 0.3) ** 2 + (c === 1 ? 0 : 0.5);
        return [off, off + 1];
      });
      const found = await parzenCandidates(space, trials, [], new Random(1), 100);
      const share = (holds: (genes: readonly number[]) => boolean): number => found.filter(holds).length / found.length;
      expect(share(([x = 0]) => Math.abs(x - 0.3) < 0.2)).toBeGreaterThan(0.55);
      expect(share(({ 2: c }) => c === 1)).toBeGreaterThan(0.8);
      const spread = found.map(({ 1: y = 0 }) => y).sort((a, b) => a - b);
      expect(spread[90]! - spread[10]!).toBeGreaterThan(0.2);
    },
  );

  it('avoid what failed and what a bound excludes', async () => {
    const space = spaceOf([real(0, 1)]);
    const good = ([x = 0]: readonly number[]): readonly [number, number] => [x, x];
    const failing = trialsOf(space, 80, (genes) => (genes[0]! < 0.4 ? undefined : good(genes)));
    const bound = { text: 'a >= 0.4', name: 'a', relation: '>=' as const, bound: 0.4 };
    for (const found of [
      await parzenCandidates(space, failing, [], new Random(2), 50),
      await parzenCandidates(space, trialsOf(space, 80, good), [bound], new Random(2), 50),
    ]) {
      const places = found.map(([x]) => x!).sort((a, b) => a - b);
      expect(places[5]).toBeGreaterThan(0.35);
      expect(places[25]).toBeLessThan(0.6);
    }
  });

  it('are none while there is nothing to compare', async () => {
    const space = spaceOf([real(0, 1)]);
    const failing = trialsOf(space, 3, () => undefined);
    const one = trialsOf(space, 1, () => [1, 1]);
    for (const trials of [[], one, failing, [...one, ...failing.slice(1)]])
      expect(await parzenCandidates(space, trials, [], new Random(3), 5)).toEqual([]);
  });
});
