import '@hip/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseByWeights, chooseWithin, kneePoint, Nsga2Error, pseudoWeights, tradeOffs } from '../../src/index.ts';

describe('kneePoint', () => {
  it('is the bend of the front, whatever the scales', () => {
    const front = [
      [0, 10],
      [1, 2],
      [5, 1],
      [10, 0],
    ];
    expect(kneePoint(front)).toBe(1);
    expect(kneePoint(front.map(([a = 0, b = 0]) => [a * 1e6 + 3, b / 1e3 - 1]))).toBe(1);
    expect(
      kneePoint([
        [0, 0, 1],
        [0, 1, 0],
        [1, 0, 0],
        [0.2, 0.2, 0.2],
      ]),
    ).toBe(3);
  });

  it('is furthest from the line between the end points', () => {
    const front = Array.from({ length: 101 }, (_, i) => [i / 100, (1 - i / 100) ** 3]);
    const distances = front.map(([a = 0, b = 0]) => (1 - a - b) / Math.SQRT2);
    expect(kneePoint(front)).toBe(distances.indexOf(Math.max(...distances)));
  });

  it('needs a point', () => {
    expect(() => kneePoint([])).toThrow(Nsga2Error);
    expect(kneePoint([[3, 3]])).toBe(0);
  });
});

describe('pseudoWeights', () => {
  it('are worked out by hand', () => {
    expect(
      pseudoWeights([
        [0, 10],
        [10, 0],
        [5, 2.5],
      ]).flat(),
    ).toBeAllclose([1, 0, 0, 1, 0.4, 0.6], { atol: 1e-14 });
  });

  it('are non-negative and sum to 1', () => {
    const value = fc.double({ min: -100, max: 100, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 20 }), (points) => {
        for (const weights of pseudoWeights(points)) {
          expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
          expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
        }
      }),
    );
  });

  it('find the point a user asks for', () => {
    const front = [
      [0, 10],
      [3, 3],
      [10, 0],
    ];
    expect(chooseByWeights(front, [1, 1])).toBe(1);
    expect(chooseByWeights(front, [9, 1])).toBe(0);
    expect(chooseByWeights(front, [0, 5])).toBe(2);
    expect(() => chooseByWeights(front, [0, 0])).toThrow(Nsga2Error);
    expect(() => chooseByWeights(front, [1])).toThrow(Nsga2Error);
  });
});

describe('tradeOffs', () => {
  it('is the smallest loss per gain of leaving a point', () => {
    const values = tradeOffs([
      [0, 1],
      [0.1, 0.2],
      [1, 0],
    ]);
    expect(values).toBeAllclose([0.125, 4.5, 2 / 9], { rtol: 1e-12 });
  });
  it('is infinite for a point that nothing improves on', () => {
    expect(
      tradeOffs([
        [0, 0],
        [1, 1],
      ])[0],
    ).toBe(Infinity);
  });
});

describe('chooseWithin', () => {
  const front = [
    [10, -95],
    [20, -97],
    [30, -98],
  ];
  it('is the best within the limits', () => {
    expect(chooseWithin(front, [20, Infinity], 1)).toBe(1);
    expect(chooseWithin(front, [Infinity, -96], 0)).toBe(1);
    expect(chooseWithin(front, [5, Infinity], 1)).toBeUndefined();
    expect(chooseWithin([], [5, Infinity], 1)).toBeUndefined();
  });
  it('checks its arguments', () => {
    expect(() => chooseWithin(front, [5], 1)).toThrow(Nsga2Error);
    expect(() => chooseWithin(front, [5, 5], 2)).toThrow(Nsga2Error);
  });
});
