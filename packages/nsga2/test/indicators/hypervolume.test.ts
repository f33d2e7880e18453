import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hypervolume, Nsga2Error, Random } from '../../src/index.ts';
import { gridHypervolume, hypervolumeByExclusion } from '../oracle.ts';

const RELATIVE = 1e-12;

/** Difference in units of the tolerance: at most 1 is close. */
function difference(actual: number, expected: number): number {
  return Math.abs(actual - expected) / (RELATIVE * Math.max(1e-3, Math.abs(expected)));
}

describe('hypervolume', () => {
  it('reproduces the fixtures of the specification', () => {
    expect(
      hypervolume(
        [
          [1, 5],
          [2, 4],
          [3, 3],
          [4, 2],
          [5, 1],
        ],
        [6, 6],
      ),
    ).toBe(15);
    expect(
      hypervolume(
        [
          [1, 2, 3],
          [2, 3, 1],
          [3, 1, 2],
        ],
        [4, 4, 4],
      ),
    ).toBe(13);
    expect(
      difference(
        hypervolume(
          [
            [0.2, 0.8],
            [0.5, 0.5],
            [0.8, 0.2],
            [0.9, 0.9],
          ],
          [1, 1],
        ),
        0.37,
      ),
    ).toBeLessThanOrEqual(1);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('equals brute force to 1e-12 in %i objectives', (m) => {
    const size = [0, 40, 30, 12, 8, 7, 6, 5, 4][m]!;
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.double({ min: 0, max: 1.2, noNaN: true }), { minLength: m, maxLength: m }), {
          maxLength: size,
        }),
        (points) => {
          const reference = Array.from({ length: m }, () => 1);
          expect(difference(hypervolume(points, reference), gridHypervolume(points, reference))).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: m > 4 ? 40 : 150 },
    );
  });

  it.each([2, 3, 4, 5, 6, 7])('equals brute force with ties and copies in %i objectives', (m) => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: m, maxLength: m }), { maxLength: 12 }),
        (points) => {
          const reference = Array.from({ length: m }, () => 4);
          // Whole numbers: both are exact.
          expect(hypervolume(points, reference)).toBe(gridHypervolume(points, reference));
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each([2, 3, 4, 5, 6, 7, 8, 9, 10])('equals inclusion and exclusion in %i objectives', (m) => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 0, max: 6 }), { minLength: m, maxLength: m }), { maxLength: 9 }),
        (points) => {
          const reference = Array.from({ length: m }, () => 6);
          // Whole numbers: both are exact.
          expect(hypervolume(points, reference)).toBe(hypervolumeByExclusion(points, reference));
        },
      ),
      { numRuns: 100 },
    );
  });

  it.each([3, 4, 5, 6, 7, 8])('lies where a sample of the space says, in %i objectives', (m) => {
    const random = new Random(m);
    const points = Array.from({ length: 60 }, () => Array.from({ length: m }, () => random.next() ** 2));
    const samples = 20_000;
    let inside = 0;
    for (let n = 0; n < samples; n++) {
      const sample = Array.from({ length: m }, () => random.next());
      if (points.some((point) => point.every((value, k) => value <= sample[k]!))) inside++;
    }
    const share = inside / samples;
    const reference = Array.from({ length: m }, () => 1);
    // Five standard errors.
    expect(Math.abs(hypervolume(points, reference) - share)).toBeLessThan(
      5 * Math.sqrt((share * (1 - share)) / samples),
    );
  });

  it.each([3, 4, 5, 6, 9])(
    'of a hundred points and more does not depend on their order nor that of %i objectives',
    (m) => {
      const random = new Random(m);
      const count = m > 8 ? 30 : 120;
      const shapes: Readonly<Record<string, () => number>> = {
        even: () => random.next(),
        // Many ties, and many points in few of the buckets of a sort.
        stepped: () => Math.floor(8 * random.next()) / 8,
        crowded: () => (random.next() < 0.1 ? random.next() : 1e-9 * random.next()),
      };
      for (const [shape, next] of Object.entries(shapes)) {
        const points = Array.from({ length: count }, () => {
          const point = Array.from({ length: m }, next);
          // On a plane, so that few are dominated.
          point[m - 1] = 1 - point.slice(0, -1).reduce((sum, value) => sum + value, 0) / (m - 1);
          return point;
        });
        const reference = Array.from({ length: m }, () => 1.1);
        const columns = Array.from({ length: m }, (_, k) => (k + 1) % m);
        const moved = Array.from(random.permutation(count), (i) => columns.map((k) => points[i]![k]!));
        expect(difference(hypervolume(moved, reference), hypervolume(points, reference)), shape).toBeLessThanOrEqual(1);
      }
    },
  );

  it('grows with every point that is not dominated, and never shrinks', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 5 }), fc.integer({ min: 1, max: 15 }), (seed, m, count) => {
        const random = new Random(seed);
        const vector = (): number[] => Array.from({ length: m }, () => random.next());
        const points = Array.from({ length: count }, vector);
        const more = vector();
        const reference = Array.from({ length: m }, () => 1);
        const before = hypervolume(points, reference);
        const after = hypervolume([...points, more], reference);
        const isCovered = points.some((point) => point.every((value, k) => value <= more[k]!));
        const asItShould = isCovered ? difference(after, before) <= 1 : after > before;
        expect(asItShould).toBe(true);
      }),
    );
  });

  it('does not depend on the order of points and objectives', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 6 }), (seed, m) => {
        const random = new Random(seed);
        const points = Array.from({ length: 20 }, () => Array.from({ length: m }, () => random.next()));
        const reference = Array.from({ length: m }, () => 1);
        const columns = Array.from(random.permutation(m));
        const moved = Array.from(random.permutation(20), (i) => columns.map((k) => points[i]![k]!));
        expect(difference(hypervolume(moved, reference), hypervolume(points, reference))).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('ignores points that do not dominate the reference', () => {
    expect(
      hypervolume(
        [
          [2, 0],
          [1, 0.5],
          [Infinity, 0],
        ],
        [1, 1],
      ),
    ).toBe(0);
    expect(hypervolume([], [1, 1, 1])).toBe(0);
  });

  it('refuses what has no volume', () => {
    expect(() => hypervolume([[1, 2]], [3, 3, 3])).toThrow(Nsga2Error);
    expect(() => hypervolume([[-Infinity, 0]], [1, 1])).toThrow(/−Infinity/);
    expect(() => hypervolume([[0, 0]], [1, Infinity])).toThrow(/reference\[1\]/);
    expect(() => hypervolume([[0, Number.NaN]], [1, 1])).toThrow(/NaN/);
  });
});
