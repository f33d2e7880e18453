// Noisy measurements: repeated where that decides something, with standard errors that tables, the report and the view show.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { integer, Random } from '@instatune/nsga2';
import {
  frontProbabilities,
  nonDominatedProbabilities,
  repeated,
  runSearch,
  studyToCsv,
  type SearchProblem,
} from '../../src/index.ts';
import { renderReport, toStudyView } from '../../src/report.ts';

const loss = (a: number, b: number) => (10 - a) ** 2 / 10 + b / 4;

/** A loss with a normal deviate of 1 that depends on the seed alone, against an exact cost. */
function noisy(counted: Map<string, number>): SearchProblem {
  return {
    name: 'noisy',
    space: [integer(0, 10, 'a'), integer(0, 10, 'b')],
    objectives: [
      {
        name: 'loss',
        kind: 'measured',
        evaluate([a, b], { seed }) {
          const key = `${a},${b}`;
          counted.set(key, (counted.get(key) ?? 0) + 1);
          return loss(a!, b!) + new Random(seed).normal();
        },
      },
      { name: 'cost', kind: 'exact', evaluate: ([a, b]) => a! + b! },
    ],
  };
}

describe('repeated', () => {
  it('measures again what is in doubt, less what is clearly dominated, and says how sure it is', async () => {
    const counted = new Map<string, number>();
    const problem = repeated(noisy(counted), { most: 8 });
    const result = await runSearch(problem, { tactic: 'random', evaluations: 60, population: 60, seed: 1 });
    for (const { genes, values } of result.trials) {
      expect(values!['measurements']).toBe(counted.get(genes.join()));
      expect(values!['loss ±']).toBeGreaterThan(0);
    }
    const times = result.trials.map(({ values }) => values!['measurements']!);
    expect(Math.min(...times)).toBe(2);
    expect(Math.max(...times)).toBe(8);
    // A candidate that another one beats by far in both is measured twice; repeats go to where the front may change.
    const probabilities = frontProbabilities(result);
    const mean = (values: readonly number[]) => values.reduce((x, y) => x + y, 0) / values.length;
    const near = result.trials.filter(({ number }) => probabilities.get(number)! > 0.1);
    const far = result.trials.filter(({ number }) => probabilities.get(number)! < 0.001);
    const repeats = (trials: typeof near) => mean(trials.map(({ values }) => values!['measurements']!));
    expect(repeats(near)).toBeGreaterThan(repeats(far));
    const table = studyToCsv(result.study);
    expect(table.split('\r\n')[0]).toContain('loss ±');
    const [trial] = toStudyView(result.study).trials;
    expect(trial!.standardErrors!['loss']).toBe(result.trials[0]!.values!['loss ±']);
    expect(trial!.objectives).not.toHaveProperty('loss ±');
    expect(renderReport(result)).toMatch(/<th>probability<\/th>.*<td>[-\d.]+ ± [\d.]+<\/td>/s);
  });

  it.each([{ least: 1 }, { least: 4, most: 3 }, { doubt: 0.7 }])('refuses %j', (options) => {
    expect(() => repeated(noisy(new Map()), options)).toThrow(/use/);
  });
});

describe('the probability of being non-dominated', () => {
  const point = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }));

  it('is dominance itself where nothing is noisy, and falls with what is better', () => {
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 12 }), (means) => {
        const points = means.map((mean) => ({ mean, error: [0, 0] }));
        const beaten = ([x, y]: readonly number[]) => means.some(([a, b]) => a <= x! && b <= y! && (a < x! || b < y!));
        expect([...nonDominatedProbabilities(points)]).toEqual(means.map((mean) => Number(!beaten(mean))));
      }),
    );
  });

  it('is a half for two equal means of one objective, and what the normal distribution says otherwise', () => {
    const two = (gap: number) => [
      { mean: [0], error: [1] },
      { mean: [gap], error: [1] },
    ];
    const [a, b] = nonDominatedProbabilities(two(0));
    expect(a! + b!).toBeCloseTo(1, 9);
    expect(a).toBeGreaterThan(0.43);
    expect(a).toBeLessThan(0.57);
    // P(N(1, √2) > 0) = Φ(1/√2) = .76.
    expect(Math.abs(nonDominatedProbabilities(two(1))[0]! - 0.76)).toBeLessThan(0.07);
  });
});
