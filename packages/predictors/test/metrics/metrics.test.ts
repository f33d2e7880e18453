import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kendallTau, mape, PredictorError, rmse, spearman } from '../../src/index.ts';

/** Few different values: many ties. */
const pairs = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 })), {
  minLength: 2,
  maxLength: 40,
});

/** τ-b by its definition, over all pairs. */
function tauB(x: readonly number[], y: readonly number[]): number {
  let concordance = 0;
  let untiedX = 0;
  let untiedY = 0;
  for (let i = 0; i < x.length; i++) {
    for (let j = 0; j < i; j++) {
      const a = Math.sign(x[i]! - x[j]!);
      const b = Math.sign(y[i]! - y[j]!);
      concordance += a * b;
      untiedX += a * a;
      untiedY += b * b;
    }
  }
  return concordance / Math.sqrt(untiedX * untiedY);
}

function pearson(x: readonly number[], y: readonly number[]): number {
  const mean = (v: readonly number[]) => v.reduce((a, b) => a + b, 0) / v.length;
  const [mx, my] = [mean(x), mean(y)];
  const inner = (a: (i: number) => number, b: (i: number) => number) => x.reduce((sum, _, i) => sum + a(i) * b(i), 0);
  const dx = (i: number) => x[i]! - mx;
  const dy = (i: number) => y[i]! - my;
  return inner(dx, dy) / Math.sqrt(inner(dx, dx) * inner(dy, dy));
}

const ranks = (v: readonly number[]) =>
  v.map((a) => v.filter((b) => b < a).length + (v.filter((b) => b === a).length + 1) / 2);

/** Equal to a dozen digits, or both NaN. */
const same = (a: number, b: number): boolean => Object.is(a, b) || Math.abs(a - b) < 1e-12;

describe('rank metrics', () => {
  it('τ-b is its definition over all pairs, ties included', () => {
    fc.assert(
      fc.property(pairs, (p) => {
        const [x, y] = [p.map(([v]) => v), p.map(([, v]) => v)];
        expect(same(kendallTau(x, y), tauB(x, y))).toBe(true);
      }),
    );
  });

  it('ρ is the correlation of mean ranks', () => {
    fc.assert(
      fc.property(pairs, (p) => {
        const [x, y] = [p.map(([v]) => v), p.map(([, v]) => v)];
        expect(same(spearman(x, y), pearson(ranks(x), ranks(y)))).toBe(true);
      }),
    );
  });

  it('are scipy’s on a list with ties', () => {
    const [a, b] = [
      [1, 2, 2, 3, 5, 4, 4, 7],
      [2, 1, 3, 3, 4, 4, 6, 5],
    ];
    expect(kendallTau(a, b)).toBeCloseTo(0.6923076923076924, 14);
    expect(spearman(a, b)).toBeCloseTo(0.8292682926829269, 14);
  });

  it('do not change under a rising function, turn over under a falling one, and are symmetric', () => {
    fc.assert(
      fc.property(pairs, (p) => {
        const [x, y] = [p.map(([v]) => v), p.map(([, v]) => v)];
        for (const metric of [kendallTau, spearman]) {
          const value = metric(x, y);
          same(
            metric(
              x.map((v) => Math.exp(v) - 5),
              y,
            ),
            value,
          );
          same(
            metric(
              x.map((v) => -v),
              y,
            ),
            -value,
          );
          expect(same(metric(y, x), value)).toBe(true);
        }
      }),
    );
  });

  it('τ of 200,000 values takes no pairwise loop', () => {
    const x = Float64Array.from({ length: 200_000 }, (_, i) => i);
    expect(kendallTau(x, x)).toBeCloseTo(1, 12);
    expect(kendallTau(x, x.toReversed())).toBeCloseTo(-1, 12);
  });

  it('NaN where one side is constant; lengths must agree', () => {
    expect(kendallTau([1, 1, 1], [1, 2, 3])).toBeNaN();
    // What is no number cannot be in any order.
    for (const rank of [kendallTau, spearman]) {
      expect(rank([1, Number.NaN, 3], [1, 2, 3])).toBeNaN();
      expect(rank([1, 2, 3], [Number.NaN, 2, 3])).toBeNaN();
    }
    expect(() => kendallTau([1], [1])).toThrow(PredictorError);
    expect(() => spearman([1, 2], [1])).toThrow(PredictorError);
  });
});

describe('error metrics', () => {
  it('by hand', () => {
    expect(rmse([1, 2, 3], [1, 4, 7])).toBeCloseTo(Math.sqrt(20 / 3), 14);
    expect(mape([110, -90], [100, -100])).toBeCloseTo(10, 12);
    expect(() => mape([1], [0])).toThrow(expect.objectContaining({ code: 'invalid-data' }));
    expect(() => rmse([], [])).toThrow(PredictorError);
  });
});
