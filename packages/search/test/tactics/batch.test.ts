import { hypervolume } from '@instatune/nsga2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Space } from '../../src/space.ts';
import { chooseBatch } from '../../src/tactics/batch.ts';
import type { Predicted } from '../../src/tactics/inner.ts';
import { completeTrial } from '../fixtures/trials.ts';

const space = new Space({
  name: 'batch',
  space: [{ type: 'integer', lower: 0, upper: 1000 }],
  objectives: [
    { name: 'a', kind: 'measured' },
    { name: 'b', kind: 'measured' },
  ],
  measure: () => ({ a: 0, b: 0 }),
});

type Point = readonly [number, number];

async function choose(points: readonly Point[], measured: readonly Point[], count: number): Promise<readonly Point[]> {
  const predicted = points.map((objectives, n): Predicted => ({
    genes: [n],
    key: String(n),
    objectives,
    violation: 0,
  }));
  const trials = measured.map(([a, b], number) => completeTrial({ number, genes: [1000 - number], values: { a, b } }));
  const seen = new Set(trials.map(({ key }) => key));
  const chosen = await chooseBatch({ space, trials, bounds: [], predicted, count, seen });
  expect(seen.size).toBe(measured.length + chosen.length);
  return chosen.map(({ objectives }) => objectives as Point);
}

describe('the batch that is measured next', () => {
  it('is spread over the front: of points of one rank, those that add the most hypervolume', async () => {
    const crowd = [0, 1, 2, 3].map((n): Point => [n / 100, 1 - n / 100]);
    expect(await choose([...crowd, [0.4, 0.4], [1, 0]], [], 1)).toEqual([[0.4, 0.4]]);
    // The ends come before the rest of the crowd.
    const three = await choose([...crowd, [0.4, 0.4], [1, 0]], [], 3);
    expect(three).toContainEqual([1, 0]);
    expect(three.filter(([a]) => a < 0.1)).toHaveLength(1);
  });

  it('is away from what is measured already', async () => {
    const points: Point[] = [
      [0, 1],
      [0.01, 0.99],
      [0.6, 0.3],
      [1, 0],
    ];
    expect(
      await choose(
        points,
        [
          [0.5, 0.2],
          [0, 0.98],
        ],
        1,
      ),
    ).toEqual([[1, 0]]);
  });

  it('adds the most hypervolume at every step, by trying all of the pool', async () => {
    const share = fc.integer({ min: 0, max: 40 }).map((n) => n / 40);
    const point = fc.tuple(share, share);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(point, { minLength: 4, maxLength: 12, selector: String }),
        fc.array(point, { maxLength: 5 }),
        fc.integer({ min: 1, max: 3 }),
        async (points, measured, count) => {
          // The corners fix the scale that hypervolumes are compared in.
          const pool: Point[] = [...points, [0, 1], [1, 0]];
          const chosen = await choose(pool, measured, count);
          expect(chosen).toHaveLength(count);
          const volume = (list: readonly Point[]) => hypervolume(list, [1.1, 1.1]);
          chosen.forEach((next, n) => {
            const before = [...measured, ...chosen.slice(0, n)];
            const best = Math.max(...pool.map((other) => volume([...before, other])));
            expect(volume([...before, next])).toBeCloseTo(best, 12);
          });
        },
      ),
      { numRuns: 300 },
    );
  });
});
