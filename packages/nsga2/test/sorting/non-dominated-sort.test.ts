import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dominates, nonDominatedSort, Nsga2Error, paretoFront, Random } from '../../src/index.ts';
import { dominatesPlainly, peelRanks } from '../oracle.ts';

/** Small whole coordinates: ties and copies in plenty. */
const tied = fc
  .integer({ min: 1, max: 6 })
  .chain((m) => fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: m, maxLength: m }), { maxLength: 60 }));

const spread = fc.integer({ min: 1, max: 6 }).chain((m) =>
  fc.array(fc.array(fc.double({ noNaN: true, min: -1e3, max: 1e3 }), { minLength: m, maxLength: m }), {
    maxLength: 40,
  }),
);

describe('nonDominatedSort', () => {
  it.each([
    ['with ties', tied],
    ['without ties', spread],
  ])('gives the ranks of peeling, %s', (_, points) => {
    fc.assert(
      fc.property(points, (list) => {
        expect(Array.from(nonDominatedSort(list).ranks)).toEqual(peelRanks(list));
      }),
      { numRuns: 300 },
    );
  });

  it('matches peeling beyond one word of bits and beyond one block of rows', () => {
    const random = new Random(5);
    for (const [count, m] of [
      [130, 4],
      [257, 5],
      [2600, 4],
    ] as const) {
      const points = Array.from({ length: count }, () => Array.from({ length: m }, () => random.integer(0, 30)));
      expect(Array.from(nonDominatedSort(points).ranks)).toEqual(peelRanks(points));
    }
  });

  it('gives permuted individuals permuted ranks', () => {
    fc.assert(
      fc.property(tied, fc.integer(), (points, seed) => {
        const order = Array.from(new Random(seed).permutation(points.length));
        const { ranks } = nonDominatedSort(points);
        const permuted = nonDominatedSort(order.map((i) => points[i]!)).ranks;
        expect(Array.from(permuted)).toEqual(order.map((i) => ranks[i]));
      }),
    );
  });

  it('lists each point once, in the front of its rank, ascending', () => {
    const { ranks, fronts } = nonDominatedSort([
      [1, 1],
      [2, 2],
      [0, 3],
      [3, 3],
    ]);
    expect(Array.from(ranks)).toEqual([0, 1, 0, 2]);
    expect(fronts.map((front) => Array.from(front))).toEqual([[0, 2], [1], [3]]);
  });

  it('has no fronts for no points', () => {
    expect(nonDominatedSort([]).fronts).toEqual([]);
  });

  it('takes infinite objectives', () => {
    expect(
      Array.from(
        nonDominatedSort([
          [Infinity, 0],
          [0, Infinity],
          [Infinity, Infinity],
          [-Infinity, 5],
        ]).ranks,
      ),
    ).toEqual([0, 1, 2, 0]);
  });

  it('refuses NaN and ragged vectors, naming the place', () => {
    expect(() =>
      nonDominatedSort([
        [1, 2],
        [1, Number.NaN],
      ]),
    ).toThrow(/point 1 has NaN at 1/);
    expect(() => nonDominatedSort([[1, 2], [1]])).toThrow(Nsga2Error);
  });
});

describe('paretoFront', () => {
  it('is the points that none dominates', () => {
    fc.assert(
      fc.property(tied, (points) => {
        const plainly = points.flatMap((p, i) => (points.some((q) => dominatesPlainly(q, p)) ? [] : [i]));
        expect(paretoFront(points)).toEqual(plainly);
      }),
    );
  });
});

describe('dominates', () => {
  it('needs one better value and no worse one', () => {
    expect(dominates([1, 2], [1, 3])).toBe(true);
    expect(dominates([1, 2], [1, 2])).toBe(false);
    expect(dominates([1, 4], [1, 3])).toBe(false);
  });
});
