import { Random } from '@instatune/nsga2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bertSynth } from '../../src/problems/bert-synth.ts';
import { runSearch } from '../../src/run/run-search.ts';
import { Space } from '../../src/space.ts';
import { featuresOf } from '../../src/tactics/features.ts';
import { fitGaussianProcess } from '../../src/tactics/gaussian-process.ts';
import { linas } from '../../src/tactics/linas.ts';

describe('features', () => {
  it('are equal exactly for equal candidates, and 0 for unused genes', () => {
    const space = new Space(bertSynth());
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        const [x, y] = [space.sample(new Random(a)), space.sample(new Random(b))];
        expect(featuresOf(space, x).join() === featuresOf(space, y).join()).toBe(space.key(x) === space.key(y));
        const used = 6 + x[0]!;
        const columns = featuresOf(space, x);
        expect(columns).toHaveLength(7 + 12 * 4 + 12 * 3);
        expect(columns.slice(7 + used * 4, 7 + 48).every((v) => v === 0)).toBe(true);
      }),
    );
  });

  it('levels of integers are cumulative, of categories one-hot, reals scaled', () => {
    const space = new Space({
      name: 'f',
      space: [{ type: 'integer', lower: 2, upper: 4 }, { type: 'categorical', values: ['a', 'b', 'c'] }, { type: 'boolean' }, { type: 'real', lower: -2, upper: 2 }, { type: 'integer', lower: 1, upper: 1000 }],
      objectives: [{ name: 'y', kind: 'measured', evaluate: () => 0 }],
    });
    expect(featuresOf(space, [3, 1, 1, -1, 500])).toEqual([1, 1, 0, 0, 1, 0, 0, 1, 0.25, 0.5]);
  });
});

describe('the Gaussian process', () => {
  const random = new Random(4);
  const rows = (n: number, d: number) => Array.from({ length: n }, () => Array.from({ length: d }, () => random.integer(0, 1)));
  const smooth = (x: readonly number[]) => Math.exp(-x.reduce((sum, v, k) => sum + v * (1 + Math.sin(k)), 0) / x.length);

  it('goes through its training data where there is no noise, and generalises', () => {
    const X = rows(120, 20);
    const { predict } = fitGaussianProcess(X, X.map(smooth));
    for (const x of X) expect(predict(x)).toBeCloseTo(smooth(x), 2);
    const test = rows(200, 20);
    const mean = test.reduce((sum, x) => sum + smooth(x), 0) / 200;
    const explained = 1 - test.reduce((s, x) => s + (predict(x) - smooth(x)) ** 2, 0) / test.reduce((s, x) => s + (mean - smooth(x)) ** 2, 0);
    expect(explained).toBeGreaterThan(0.98);
  });

  it('is the textbook formula', () => {
    // Two points at squared distance 1 (the mean too): k = 2ℓ·exp(−1/(2ℓ)), predictions by hand from the 2×2 inverse.
    const { predict, length, noise } = fitGaussianProcess([[0], [1]], [0, 2]);
    const k = 2 * length * Math.exp(-1 / (2 * length));
    const alpha = 1 / (2 * length + noise - k);
    for (const x of [0, 0.3, 1, 2]) {
      const kernel = (a: number) => 2 * length * Math.exp(-((a - x) ** 2) / (2 * length));
      expect(predict([x])).toBeCloseTo(1 + alpha * (kernel(1) - kernel(0)), 9);
    }
  });

  it('takes noise for noise', () => {
    const X = rows(150, 10);
    const noisy = fitGaussianProcess(X, X.map((x) => smooth(x) + 0.05 * random.normal()));
    const clean = fitGaussianProcess(X, X.map(smooth));
    expect(noisy.noise).toBeGreaterThan(clean.noise);
  });

  it('survives constant targets and repeated rows', () => {
    expect(fitGaussianProcess([[1], [2]], [3, 3]).predict([9])).toBe(3);
    expect(fitGaussianProcess([[1], [1], [1]], [1, 2, 3]).predict([1])).toBeCloseTo(2, 2);
  });
});

describe('a predictor of one’s own', () => {
  it('is fitted on all complete trials and decides what is measured next', async () => {
    const sizes: number[] = [];
    const upsideDown = () => {
      let predict = (_: number[]) => 0;
      return {
        fit(X: number[][], y: number[]) {
          sizes.push(X.length);
          const process = fitGaussianProcess(X, y.map((v) => -v));
          predict = (x) => process.predict(x);
        },
        predict: (X: number[][]) => X.map((x) => predict(x)),
      };
    };
    const options = { evaluations: 45, seed: 1 };
    const misled = await runSearch(bertSynth(), { ...options, tactic: linas({ population: 15, innerEvaluations: 3000, predictor: upsideDown }) });
    const led = await runSearch(bertSynth(), { ...options, tactic: linas({ population: 15, innerEvaluations: 3000 }) });
    expect(sizes).toEqual([15, 30]);
    expect(led.hypervolume).toBeGreaterThan(1.02 * misled.hypervolume);
  });
});
