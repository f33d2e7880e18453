import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Nsga2Error, Random } from '../src/index.ts';

describe('Random', () => {
  it('repeats with the seed and differs without', () => {
    const draw = (seed: number): number[] => {
      const random = new Random(seed);
      return Array.from({ length: 5 }, () => random.next());
    };
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
    expect(draw(0)).toEqual(draw(-0));
    expect(draw(0.1)).not.toEqual(draw(0.2));
    expect(draw(2 ** 40)).not.toEqual(draw(2 ** 41));
  });

  it('gives the numbers it always gave', () => {
    const random = new Random(42);
    expect(Array.from({ length: 4 }, () => random.uint32())).toMatchInlineSnapshot(`
      [
        3929646099,
        2865325861,
        3132669142,
        4107370365,
      ]
    `);
  });

  it('goes on exactly after a trip through JSON', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(20), (seed, steps) => {
        const random = new Random(seed);
        for (let i = 0; i < steps; i++) random.next();
        const copy = Random.fromJSON(JSON.parse(JSON.stringify(random)));
        for (let i = 0; i < 5; i++) expect(copy.next()).toBe(random.next());
      }),
    );
  });

  it('is uniform in [0, 1) by mean, variance and bins', () => {
    const random = new Random(1);
    const count = 100_000;
    const bins = Array.from({ length: 20 }, () => 0);
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const value = random.next();
      sum += value;
      bins[Math.floor(value * 20)]!++;
    }
    expect(Math.abs(sum / count - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / count));
    const chi = bins.reduce((total, bin) => total + (bin - count / 20) ** 2 / (count / 20), 0);
    // 19 degrees of freedom: 0.1 % on either side.
    expect(chi).toBeGreaterThan(5.4);
    expect(chi).toBeLessThan(43.8);
  });

  it('draws integers evenly, both ends included', () => {
    const random = new Random(2);
    const counts = new Map<number, number>();
    for (let i = 0; i < 60_000; i++) {
      const value = random.integer(-2, 3);
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2, 3]);
    for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(5 * Math.sqrt(10_000));
    expect(random.integer(4, 4)).toBe(4);
    const wide = random.integer(0, 2 ** 40);
    expect(Number.isInteger(wide) && wide >= 0 && wide <= 2 ** 40).toBe(true);
  });

  it('has normal deviates of mean 0 and variance 1', () => {
    const random = new Random(3);
    const values = Array.from({ length: 50_000 }, () => random.normal());
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + b * b, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(values.length));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
  });

  it('shuffles into permutations, every one of them', () => {
    const random = new Random(4);
    const seen = new Set<string>();
    for (let i = 0; i < 500; i++) seen.add(random.shuffle([0, 1, 2, 3]).join(''));
    expect(seen.size).toBe(24);
    expect(Array.from(random.permutation(50)).sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it('forks into a stream of its own', () => {
    const random = new Random(5);
    const fork = random.fork();
    const clone = random.clone();
    expect(fork.next()).not.toBe(random.next());
    expect(clone.next()).not.toBe(random.next());
  });

  it('refuses what is no seed and no state', () => {
    expect(() => new Random(Number.NaN)).toThrow(Nsga2Error);
    expect(() => Random.fromJSON({ algorithm: 'sfc32', words: [1, 2, 3] } as never)).toThrow(/four uint32/);
    expect(() => Random.fromJSON({ algorithm: 'sfc32', words: [1, 2, 3, -1] })).toThrow(Nsga2Error);
    expect(() => new Random(1).integer(3, 2)).toThrow(Nsga2Error);
  });

  it('never leaves its range by rounding', () => {
    class Top extends Random {
      override next(): number {
        return 1 - 2 ** -53;
      }
    }
    const end = fc.double({ min: -10, max: 10, noNaN: true });
    fc.assert(
      fc.property(end, end, (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        const value = new Top().uniform(low, high);
        expect(value).toBeGreaterThanOrEqual(low);
        expect(value).toBeLessThanOrEqual(high);
      }),
      { numRuns: 2000 },
    );
  });
});
