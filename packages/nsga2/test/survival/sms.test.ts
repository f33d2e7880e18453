// SMS-EMOA: of the last front, the points that add least go, one after the other (Beume, Naujoks and Emmerich 2007, algorithm 2).
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Population } from '../../src/engine/population.ts';
import { hypervolume, minimize, nonDominatedSort, Random, zdt } from '../../src/index.ts';
import { smsSurvival } from '../../src/survival/sms.ts';

function survivors(points: readonly (readonly number[])[], size: number): number[] {
  const pool = new Population(1, points[0]!.length, points.length);
  points.forEach((point, id) => pool.add(id, [0], point, 0));
  return Array.from(smsSurvival().select(pool, size, new Random(0))).sort((a, b) => a - b);
}

/** Removes, one at a time, the point whose absence costs the least hypervolume. */
function greedy(points: readonly (readonly number[])[], size: number): number {
  const m = points[0]!.length;
  const lows = Array.from({ length: m }, (_, k) => Math.min(...points.map((point) => point[k]!)));
  const highs = Array.from({ length: m }, (_, k) => Math.max(...points.map((point) => point[k]!)));
  const unit = points.map((point) => point.map((value, k) => (value - lows[k]!) / (highs[k]! - lows[k]! || 1)));
  const reference = lows.map((low, k) => (highs[k]! > low ? 2 : 1));
  let left = unit;
  while (left.length > size) {
    const volumes = left.map((_, i) => hypervolume(left.toSpliced(i, 1), reference));
    left = left.toSpliced(volumes.indexOf(Math.max(...volumes)), 1);
  }
  return hypervolume(left, reference);
}

describe('the survival of SMS-EMOA', () => {
  it.each([2, 3, 4])('keeps what greedy removal by differences of hypervolumes keeps, in %i objectives', (m) => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 6 }), (seed, size) => {
        const random = new Random(seed);
        // A front: points on a simplex.
        const points = Array.from({ length: 9 }, () => {
          const point = Array.from({ length: m }, () => random.next() + 1e-3);
          const sum = point.reduce((a, b) => a + b, 0);
          return point.map((value) => value / sum);
        });
        const kept = survivors(points, size);
        expect(kept).toHaveLength(size);
        const lows = Array.from({ length: m }, (_, k) => Math.min(...points.map((point) => point[k]!)));
        const highs = Array.from({ length: m }, (_, k) => Math.max(...points.map((point) => point[k]!)));
        const unit = kept.map((i) => points[i]!.map((value, k) => (value - lows[k]!) / (highs[k]! - lows[k]!)));
        const reference = lows.map(() => 2);
        expect(Math.abs(hypervolume(unit, reference) - greedy(points, size))).toBeLessThan(1e-9);
      }),
      { numRuns: 60 },
    );
  });

  it('takes whole fronts first, and does not depend on units', () => {
    const random = new Random(5);
    const points = Array.from({ length: 20 }, () => [random.next(), random.next()]);
    const { ranks } = nonDominatedSort(points);
    const kept = survivors(points, 8);
    const worst = Math.max(...kept.map((i) => ranks[i]!));
    expect(kept).toEqual(expect.arrayContaining(points.flatMap((_, i) => (ranks[i]! < worst ? [i] : []))));
    expect(
      survivors(
        points.map(([a = 0, b = 0]) => [a * 1e9, b * 1e-9 - 3e-9]),
        8,
      ),
    ).toEqual(kept);
  });

  it('gets a larger hypervolume than NSGA-II from the same evaluations', async () => {
    const volumes = await Promise.all(
      (['sms-emoa', 'nsga2'] as const).map(async (algorithm) => {
        const { front } = await minimize(zdt(1, 5), { algorithm, populationSize: 20, maxEvaluations: 4000, seed: 2 });
        return hypervolume(
          front.map(({ objectives }) => objectives),
          [1.1, 1.1],
        );
      }),
    );
    expect(volumes[0]).toBeGreaterThan(volumes[1]!);
  });
});
