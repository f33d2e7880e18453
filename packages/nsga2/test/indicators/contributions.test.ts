import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hypervolume, hypervolumeContributions, Nsga2Error, Random } from '../../src/index.ts';
import { gridHypervolume } from '../oracle.ts';

describe('hypervolumeContributions', () => {
  it.each([1, 2, 3, 4, 5, 6])('is what the hypervolume loses without a point, in %i objectives', (m) => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: m, maxLength: m }), { maxLength: 9 }),
        (points) => {
          const reference = Array.from({ length: m }, () => 5);
          const whole = gridHypervolume(points, reference);
          const lost = points.map((_, i) => whole - gridHypervolume(points.toSpliced(i, 1), reference));
          // Whole numbers: both are exact.
          expect([...hypervolumeContributions(points, reference)]).toEqual(lost);
        },
      ),
      { numRuns: 120 },
    );
  });

  it.each([2, 3, 4, 5, 6, 7])('agrees with differences of hypervolumes on larger sets in %i objectives', (m) => {
    const random = new Random(m);
    const points = Array.from({ length: 60 }, () => Array.from({ length: m }, () => random.next()));
    const reference = Array.from({ length: m }, () => 1);
    const whole = hypervolume(points, reference);
    const contributions = hypervolumeContributions(points, reference);
    points.forEach((_, i) => {
      expect(Math.abs(contributions[i]! - (whole - hypervolume(points.toSpliced(i, 1), reference)))).toBeLessThan(
        1e-12,
      );
    });
  });

  it('of hundreds of points, with many that one alone covers, agrees with differences of hypervolumes', () => {
    const random = new Random(3);
    for (const m of [2, 3]) {
      const points = Array.from({ length: 150 }, () => Array.from({ length: m }, () => Math.floor(24 * random.next())));
      const reference = Array.from({ length: m }, () => 24);
      const whole = hypervolume(points, reference);
      expect([...hypervolumeContributions(points, reference)]).toEqual(
        points.map((_, i) => whole - hypervolume(points.toSpliced(i, 1), reference)),
      );
    }
  });

  it('scales with the units of the objectives', () => {
    const points = [
      [1, 4],
      [2, 3],
      [4, 1],
    ];
    const large = points.map(([a = 0, b = 0]) => [a * 2 ** 300, b * 2 ** -300]);
    expect([...hypervolumeContributions(large, [5 * 2 ** 300, 5 * 2 ** -300])]).toEqual([
      ...hypervolumeContributions(points, [5, 5]),
    ]);
  });

  it('gives 0 to what does not count', () => {
    expect([
      ...hypervolumeContributions(
        [
          [0, 0],
          [0, 0],
          [7, 0],
          [Infinity, 0],
        ],
        [5, 5],
      ),
    ]).toEqual([0, 0, 0, 0]);
    expect([...hypervolumeContributions([], [1])]).toEqual([]);
    expect(() => hypervolumeContributions([[0, Number.NaN]], [1, 1])).toThrow(Nsga2Error);
  });
});
