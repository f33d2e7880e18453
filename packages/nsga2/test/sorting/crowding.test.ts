import '@hip/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crowdingDistance, Random } from '../../src/index.ts';
import { pruneByCrowding } from '../../src/sorting/pruned-crowding.ts';

describe('crowdingDistance', () => {
  it('reproduces the fixtures of the specification', () => {
    expect(
      Array.from(
        crowdingDistance([
          [0, 0],
          [0.5, 50],
          [1, 100],
        ]),
      ),
    ).toEqual([Infinity, 1, Infinity]);
    expect(
      Array.from(
        crowdingDistance([
          [1, 5],
          [2, 3],
          [4, 2],
          [5, 1],
        ]),
      ),
    ).toEqual([Infinity, 0.75, 0.625, Infinity]);
  });

  it('is infinite for at most two points', () => {
    expect(Array.from(crowdingDistance([[1, 1]]))).toEqual([Infinity]);
    expect(
      Array.from(
        crowdingDistance([
          [1, 2],
          [2, 1],
        ]),
      ),
    ).toEqual([Infinity, Infinity]);
    expect(crowdingDistance([])).toHaveLength(0);
  });

  it('adds nothing for an objective in which all agree', () => {
    expect(
      Array.from(
        crowdingDistance([
          [0, 7],
          [1, 7],
          [4, 7],
        ]),
      ),
    ).toEqual([Infinity, 0.5, Infinity]);
  });

  it('gives copies 0 and does not take them for neighbours', () => {
    expect(
      Array.from(
        crowdingDistance([
          [1, 5],
          [2, 3],
          [2, 3],
          [4, 2],
          [5, 1],
        ]),
      ),
    ).toEqual([Infinity, 0.75, 0, 0.625, Infinity]);
  });

  it('does not depend on scale and shift of an objective', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 3, max: 30 }), (seed, count) => {
        const random = new Random(seed);
        const points = Array.from({ length: count }, () => [random.next(), random.next(), random.next()]);
        const moved = points.map(([a = 0, b = 0, c = 0]) => [1000 * a - 7, b, 0.01 * c + 3]);
        expect(crowdingDistance(moved)).toBeAllclose(crowdingDistance(points), { rtol: 1e-6, atol: 1e-9 });
      }),
    );
  });
});

/** Removes the most crowded point, computes all distances anew, repeats. */
function pruneSlowly(points: readonly (readonly number[])[], keep: number): number[] {
  const alive = points.map((_, i) => i);
  while (alive.length > keep) {
    const distances = crowdingDistance(alive.map((i) => points[i]!));
    alive.splice(distances.indexOf(distances.reduce((a, b) => Math.min(a, b))), 1);
  }
  return alive;
}

describe('pruneByCrowding', () => {
  it('removes what recomputing all distances after each removal would remove', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 4, max: 40 }), fc.integer({ min: 2, max: 4 }), (seed, count, m) => {
        const random = new Random(seed);
        // On a plane, so that no point dominates another.
        const points = Array.from({ length: count }, () => {
          const free = Array.from({ length: m - 1 }, () => random.next());
          return [...free, 1 - free.reduce((a, b) => a + b, 0)];
        }).sort((a, b) => a[0]! - b[0]!);
        // Enough that extremes stay: as long as they do, ranges do not change.
        const keep = random.integer(Math.min(count, 2 * m), count);
        const rows = Int32Array.from(points, (_, i) => i);
        const distances = new Float64Array(count);
        const kept = pruneByCrowding(Float64Array.from(points.flat()), m, rows, keep, distances);
        expect(Array.from(kept)).toEqual(pruneSlowly(points, keep));
        expect(Array.from(kept, (i) => distances[i]!)).toBeAllclose(
          crowdingDistance(Array.from(kept, (i) => points[i]!)),
          { rtol: 1e-9, atol: 1e-12 },
        );
      }),
    );
  });

  it('drops copies before anything else', () => {
    const values = Float64Array.from([0, 3, 1, 1, 1, 1, 3, 0]);
    expect(Array.from(pruneByCrowding(values, 2, Int32Array.of(0, 1, 2, 3), 3, new Float64Array(4)))).toEqual([
      0, 1, 3,
    ]);
  });

  it('keeps copies where there is room for all', () => {
    const values = Float64Array.from([0, 3, 1, 1, 1, 1, 1, 1, 3, 0]);
    const kept = pruneByCrowding(values, 2, Int32Array.of(0, 1, 2, 3, 4), 4, new Float64Array(5));
    expect(Array.from(kept)).toEqual([0, 1, 2, 4]);
  });
});
