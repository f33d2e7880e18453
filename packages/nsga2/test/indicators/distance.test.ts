import '@hip/testing';
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import {
  additiveEpsilon,
  dtlz,
  generationalDistance,
  generationalDistancePlus,
  invertedGenerationalDistance,
  invertedGenerationalDistancePlus,
  Nsga2Error,
  spacing,
  spread,
  zdt,
} from '../../src/index.ts';

const points = [
  [0, 2],
  [3, 1],
];
const reference = [
  [0, 0],
  [1, 0],
];

describe('distances to a reference front, worked by hand', () => {
  it('gd is the mean distance of the points', () => {
    expect(generationalDistance(points, reference)).toBeCloseTo((2 + Math.sqrt(5)) / 2, 14);
  });
  it('igd is the mean distance of the reference points', () => {
    expect(invertedGenerationalDistance(points, reference)).toBeCloseTo((2 + Math.sqrt(5)) / 2, 14);
    expect(invertedGenerationalDistance([[0, 2]], reference)).toBeCloseTo((2 + Math.sqrt(5)) / 2, 14);
  });
  it('the plus forms count only by how much a point is worse', () => {
    // (0,2) against (1,0): better by 1 in the first, worse by 2 in the second.
    expect(invertedGenerationalDistancePlus([[0, 2]], [[1, 0]])).toBe(2);
    expect(generationalDistancePlus([[0, 2]], [[1, 0]])).toBe(2);
    expect(invertedGenerationalDistancePlus([[-1, -1]], reference)).toBe(0);
    expect(invertedGenerationalDistance([[-1, -1]], reference)).toBeGreaterThan(1);
  });
  it('additive epsilon is the shift that makes the points cover the reference', () => {
    expect(
      additiveEpsilon(
        [[2, 3]],
        [
          [1, 1],
          [2, 0],
        ],
      ),
    ).toBe(3);
    expect(additiveEpsilon([[0, 0]], [[1, 1]])).toBe(-1);
  });
  it('needs points on both sides', () => {
    expect(() => generationalDistance([], reference)).toThrow(Nsga2Error);
    expect(() => invertedGenerationalDistance(points, [])).toThrow(Nsga2Error);
  });
});

describe('properties of the distances', () => {
  const cloud = fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
    {
      minLength: 1,
      maxLength: 20,
    },
  );
  it('are 0 for a set against itself, and the plus forms are never larger', () => {
    fc.assert(
      fc.property(cloud, cloud, (a, b) => {
        expect(generationalDistance(a, a)).toBe(0);
        expect(invertedGenerationalDistancePlus(a, a)).toBe(0);
        expect(generationalDistance(a, b)).toBe(invertedGenerationalDistance(b, a));
        expect(invertedGenerationalDistancePlus(a, b)).toBeLessThanOrEqual(invertedGenerationalDistance(a, b));
        expect(generationalDistancePlus(a, b)).toBeLessThanOrEqual(generationalDistance(a, b));
      }),
    );
  });
});

describe('spread', () => {
  it('is 0 for even points that reach the extremes', () => {
    expect(
      spread(
        [
          [0, 1],
          [0.25, 0.75],
          [0.5, 0.5],
          [0.75, 0.25],
          [1, 0],
        ],
        [
          [0, 1],
          [1, 0],
        ],
      ),
    ).toBeCloseTo(0, 14);
  });
  it('follows the formula of Deb', () => {
    // Gaps 1 and 3 along a line, ends at distance √2/… from the extremes: all lengths in units of √2.
    const value = spread(
      [
        [1, 4],
        [2, 3],
        [5, 0],
      ],
      [
        [0, 5],
        [5, 0],
      ],
    );
    expect(value).toBeCloseTo((1 + 0 + 1 + 1) / (1 + 0 + 2 * 2), 14);
  });
  it('uses nearest neighbours for three objectives', () => {
    const even = [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ];
    expect(spread(even, even)).toBeCloseTo(0, 14);
    expect(
      spread(
        [
          [1, 0, 0],
          [0, 1, 0],
          [0, 0.9, 0.1],
        ],
        even,
      ),
    ).toBeGreaterThan(0.3);
  });
});

describe('spacing', () => {
  it('is the deviation of the gaps', () => {
    expect(
      spacing([
        [0, 4],
        [1, 3],
        [2, 2],
      ]),
    ).toBe(0);
    // Manhattan distances to the nearest: 2, 2, 4.
    expect(
      spacing([
        [0, 4],
        [1, 3],
        [3, 1],
      ]),
    ).toBeCloseTo(Math.sqrt(4 / 3), 14);
  });
});

describe('fronts of the test problems against the reference fronts in ../shared', () => {
  const read = (path: string): number[][] =>
    readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(',').map(Number));

  const cases: readonly (readonly [string, () => number[][]])[] = [
    ['ZDT1', () => zdt(1).front(2000)],
    ['ZDT2', () => zdt(2).front(2000)],
    ['ZDT3', () => zdt(3).front(8000)],
    ['ZDT4', () => zdt(4).front(2000)],
    ['ZDT6', () => zdt(6).front(2000)],
    ['DTLZ1.3D', () => dtlz(1).front(1000)],
    ['DTLZ2.3D', () => dtlz(2).front(1000)],
    ['DTLZ7.3D', () => dtlz(7).front(6000)],
  ];
  for (const [name, front] of cases) {
    const path = sharedPath('data', 'pareto', `${name}.csv`);
    const missing = missingShared('data/pareto');
    it.skipIf(missing)(`${name}${missing}`, () => {
      const known = read(path!);
      const ours = front();
      // Three-dimensional samples have gaps of about a thirtieth; the plus distance sees only being worse.
      const isSurface = name.includes('3D');
      const fine = isSurface ? 0.02 : 0.001;
      expect(invertedGenerationalDistance(ours, known)).toBeLessThan(isSurface ? 0.03 : 0.002);
      expect(invertedGenerationalDistancePlus(ours, known)).toBeLessThan(fine);
      expect(generationalDistancePlus(ours, known)).toBeLessThan(fine);
    });
  }
});
