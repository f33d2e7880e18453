// Shares of acquisition rules: by the hypervolume that their proposals gained, never less than a twentieth, always whole.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Space } from '../../src/space.ts';
import type { Trial } from '../../src/study/trial.ts';
import { gainRates, sharesOf } from '../../src/tactics/credits.ts';

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
  { rule: 'mean', gained: 1, of: 2 },
  { rule: 'bold', gained: 1, of: 2 },
];

function trial(number: number, round: number, origin: string, point: readonly [number, number] | undefined): Trial {
  const base = { number, round, origin, genes: [number], key: String(number), seed: 0, attempts: 1 };
  if (!point) return { ...base, status: 'failed', error: 'no' };
  return { ...base, status: 'complete', values: { a: point[0], b: point[1] } };
}

describe('gain rates', () => {
  it('are hypervolume beyond the front that a proposal met, in means of its round, the last most; failures count as tried', () => {
    const rates = gainRates(
      space,
      [
        trial(0, 0, 'random', [5, 5]),
        trial(1, 1, 'mean', [4, 4]), // all of its round's gain, of two proposals
        trial(2, 1, 'bold', [6, 6]),
        trial(3, 2, 'mean', [4, 4]), // equal to the front: gains nothing
        trial(4, 2, 'bold', [1, 9]), // all of it, of three
        trial(5, 2, 'bold', undefined),
      ],
      [],
      PRIORS,
    );
    // A trial counts by what came after it.
    const weight = (after: number): number => Math.exp(-after / 60);
    expect(rates['mean']).toBeCloseTo((1 + 2 * weight(4)) / (2 + weight(4) + weight(2)), 12);
    expect(rates['bold']).toBeCloseTo((1 + 3 * weight(1)) / (2 + weight(3) + weight(1) + weight(0)), 12);
  });

  it('fall for all who proposed where nothing gains, and one find counts as five at most', () => {
    const dull = [trial(0, 0, 'random', [1, 1]), ...[1, 2, 3].map((n) => trial(n, 1, 'mean', [5, 5]))];
    const rates = gainRates(space, dull, [], PRIORS);
    expect(rates['mean']).toBeLessThan(0.3);
    expect(rates['bold']).toBe(0.5);
    const lucky = [
      trial(0, 0, 'random', [9, 9]),
      ...Array.from({ length: 20 }, (_, n) => trial(n + 1, 1, n === 0 ? 'bold' : 'mean', n === 0 ? [1, 1] : [9, 9])),
    ];
    expect(gainRates(space, lucky, [], PRIORS)['bold']).toBeLessThan((1 + 5) / 3 + 0.1);
  });

  it('count crumbs as next to nothing, in a front that is a sliver of what there is, too', () => {
    const first = Array.from({ length: 20 }, (_, n) => trial(n, 0, 'random', [100 + 10 * n, 290 - 10 * n]));
    const found = trial(20, 1, 'bold', [1, 90]); // the front is this point alone
    const crumbs = Array.from({ length: 30 }, (_, n) => trial(21 + n, 2 + n, 'mean', [1 - 1e-6 * (n + 1), 90 + n]));
    const rates = gainRates(space, [...first, found, ...crumbs], [], PRIORS);
    expect(rates['mean']).toBeLessThan(0.05);
    expect(rates['bold']).toBeGreaterThan(0.6);
    // Small steps are all there is: they count in full.
    const steady = Array.from({ length: 30 }, (_, n) => trial(n, n, 'mean', [100 - 0.01 * n, 100]));
    expect(gainRates(space, steady, [], PRIORS)['mean']).toBeGreaterThan(0.8);
  });

  it('without trials are the priors, and outside a bound nothing gains', () => {
    expect(gainRates(space, [], [], PRIORS)).toEqual({ mean: 0.5, bold: 0.5 });
    const bound = { text: 'a <= 3', name: 'a', relation: '<=' as const, bound: 3 };
    expect(gainRates(space, [trial(0, 1, 'mean', [4, 4])], [bound], PRIORS)['mean']).toBeCloseTo(1 / 3, 12);
    // Of very many, the front that the last met is that of all before them.
    const many = Array.from({ length: 1000 }, (_, n) => trial(n, n, 'mean', [n === 0 ? 1 : 2, 1]));
    expect(gainRates(space, many, [], PRIORS)['mean']).toBeLessThan(0.05);
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
    expect(sharesOf({ mean: 0.8, bold: 0.4 }, 20)).toEqual({ mean: 15, bold: 5 });
    expect(sharesOf({ mean: 0, bold: 0 }, 9)).toEqual({ mean: 5, bold: 4 });
  });
});
