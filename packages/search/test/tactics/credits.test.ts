// Shares of acquisition rules: by what entered the front, never less than a twentieth, always whole.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Space } from '../../src/space.ts';
import type { Trial } from '../../src/study/trial.ts';
import { sharesOf, stagnationShares, successRates } from '../../src/tactics/credits.ts';

const space = new Space({
  name: 'credits',
  space: [{ type: 'integer', lower: 0, upper: 1000 }],
  objectives: [
    { name: 'a', kind: 'measured' },
    { name: 'b', kind: 'measured' },
  ],
  measure: () => ({ a: 0, b: 0 }),
});
const PRIORS = [
  { rule: 'mean', entered: 1, of: 2 },
  { rule: 'bold', entered: 1, of: 2 },
];

function trial(number: number, round: number, origin: string, point: readonly [number, number] | undefined): Trial {
  const base = { number, round, origin, genes: [number], key: String(number), seed: 0, attempts: 1 };
  if (!point) return { ...base, status: 'failed', error: 'no' };
  return { ...base, status: 'complete', values: { a: point[0], b: point[1] } };
}

describe('success rates', () => {
  it('count what entered the front of its time, the last rounds most; failures count as tried', () => {
    const rates = successRates(
      space,
      [
        trial(0, 0, 'random', [5, 5]),
        trial(1, 1, 'mean', [4, 4]), // enters
        trial(2, 1, 'bold', [6, 6]), // does not
        trial(3, 2, 'mean', [4, 4]), // equal: does not
        trial(4, 2, 'bold', [1, 9]), // enters beside the other
        trial(5, 2, 'bold', undefined),
      ],
      [],
      PRIORS,
    );
    // A trial counts by what came after it.
    const [one, two, three, four, five] = [4, 3, 2, 1, 0].map((after) => Math.exp(-after / 60)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    expect(rates['mean']).toBeCloseTo((1 + one) / (2 + one + three), 12);
    expect(rates['bold']).toBeCloseTo((1 + four) / (2 + two + four + five), 12);
  });

  it('without trials are the priors, and outside a bound nothing enters', () => {
    expect(successRates(space, [], [], PRIORS)).toEqual({ mean: 0.5, bold: 0.5 });
    const bound = { text: 'a <= 3', name: 'a', relation: '<=' as const, bound: 3 };
    expect(successRates(space, [trial(0, 1, 'mean', [4, 4])], [bound], PRIORS)['mean']).toBeCloseTo(1 / 3, 12);
    // Of very many, the front that the last met is that of all before them.
    const many = Array.from({ length: 1000 }, (_, n) => trial(n, n, 'mean', [n === 0 ? 1 : 2, 1]));
    expect(successRates(space, many, [], PRIORS)['mean']).toBeLessThan(0.05);
  });
});

describe('shares', () => {
  it('are whole, sum to the round, and leave everyone a twentieth of it, rounded down', () => {
    const rate = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.tuple(rate, rate, rate, rate), fc.integer({ min: 1, max: 200 }), (rates, count) => {
        const shares = Object.values(sharesOf(Object.fromEntries(rates.map((one, i) => [`r${i}`, one])), count));
        expect(shares.reduce((a, b) => a + b, 0)).toBe(count);
        expect(Math.min(...shares)).toBeGreaterThanOrEqual(Math.floor(0.05 * count));
        expect(shares.every(Number.isInteger)).toBe(true);
      }),
    );
  });

  it('follow the rates', () => {
    expect(sharesOf({ mean: 0.8, bold: 0.2 }, 20)).toEqual({ mean: 15, bold: 5 });
    expect(sharesOf({ mean: 0, bold: 0 }, 9)).toEqual({ mean: 5, bold: 4 });
  });

  it('are all of the first rule while its proposals enter the front, and most of the others where none do', () => {
    const rates = (mean: number) => ({ mean, bold: 0.3, far: 0.1 });
    expect(stagnationShares(rates(0.8), 'mean', 50)).toEqual({ mean: 50, bold: 0, far: 0 });
    expect(stagnationShares(rates(0.4), 'mean', 50)).toEqual({ mean: 50, bold: 0, far: 0 });
    const stagnating = stagnationShares(rates(0), 'mean', 50);
    expect(stagnating['mean']).toBe(15);
    expect(stagnating['bold']).toBeGreaterThan(stagnating['far']!);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 99 }), (mean, count) => {
        const shares = Object.values(stagnationShares(rates(mean), 'mean', count));
        expect(shares.reduce((a, b) => a + b, 0)).toBe(count);
        expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
