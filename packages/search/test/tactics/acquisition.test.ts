// Acquisition rules: each proposes what it is for, together no more than asked, nothing twice; failures are learnt from.
import { integer, Random } from '@instatune/nsga2';
import { describe, expect, it } from 'vitest';
import type { SearchProblem } from '../../src/problem.ts';
import { runSearch } from '../../src/run/run-search.ts';
import { Space } from '../../src/space.ts';
import { acquire, RULES } from '../../src/tactics/acquisition.ts';
import { linas } from '../../src/tactics/linas.ts';
import type { Predicted } from '../../src/tactics/inner.ts';
import type { Surrogate } from '../../src/tactics/surrogate.ts';

const space = new Space({
  name: 'line',
  space: [integer(0, 999), integer(0, 999)],
  objectives: [
    { name: 'a', kind: 'measured' },
    { name: 'b', kind: 'exact', evaluate: ([x = 0]) => x },
  ],
  measure: () => ({ a: 0 }),
});

/** Candidate n has b = n and is predicted a = 100 − n; candidate 40 is uncertain. */
const predicted = Array.from({ length: 100 }, (_, n): Predicted => ({
  genes: [n, n % 7],
  key: `${n},${n % 7}`,
  objectives: [n === 40 ? 80 : 100 - n, n],
  violation: 0,
}));
const surrogate = (known: boolean): Surrogate => ({
  values: () => [],
  deviations: (batch) => (known ? batch.map(([n]) => [n === 40 ? 70 : 0.1, 0]) : undefined),
  info: {},
});

/** Near what is good: predicted as the others are. */
const local = Array.from({ length: 30 }, (_, n): Predicted => ({
  genes: [n, 900],
  key: `${n},900`,
  objectives: [95 - n, n],
  violation: 0,
}));

async function rules(shares: Readonly<Record<string, number>>, known = true) {
  const seen = new Set<string>();
  const chosen = await acquire({
    space,
    trials: [],
    bounds: [],
    surrogate: surrogate(known),
    predicted,
    local,
    shares,
    random: new Random(1),
    seen,
  });
  expect(new Set(chosen.map(({ genes }) => genes.join())).size).toBe(chosen.length);
  expect(seen.size).toBe(chosen.length);
  return chosen;
}

describe('acquisition rules', () => {
  it('the predicted front leaves an uncertain candidate, the expected rule takes it', async () => {
    expect((await rules({ linas: 10 })).some(({ genes }) => genes[0] === 40)).toBe(false);
    const expected = await rules({ linas: 5, expected: 3 });
    expect(expected.filter(({ origin }) => origin === 'expected').some(({ genes }) => genes[0] === 40)).toBe(true);
    expect(expected).toHaveLength(8);
  });

  it('give each rule its share; without deviations the predicted front makes up for it', async () => {
    const shares = { linas: 6, local: 2, expected: 3, thompson: 3, farthest: 2 };
    const byRule = (chosen: Awaited<ReturnType<typeof rules>>) =>
      Object.fromEntries(RULES.map(({ rule }) => [rule, chosen.filter(({ origin }) => origin === rule).length]));
    expect(byRule(await rules(shares))).toEqual(shares);
    expect(
      (await rules(shares)).filter(({ origin }) => origin === 'local').every(({ genes }) => genes[1] === 900),
    ).toBe(true);
    expect(byRule(await rules(shares, false))).toEqual({ linas: 12, local: 2, expected: 0, thompson: 0, farthest: 2 });
  });
});

describe('failures', () => {
  /** Larger is better, and what is larger than 30 cannot be measured. */
  const problem: SearchProblem = {
    name: 'memory',
    space: Array.from({ length: 5 }, () => integer(0, 9)),
    objectives: [
      {
        name: 'accuracy',
        kind: 'measured',
        direction: 'maximize',
        evaluate(genes) {
          const size = genes.reduce((a, b) => a + b, 0);
          if (size > 30) throw new Error('out of memory');
          return size + genes[0]! / 10;
        },
      },
    ],
  };

  it('are learnt from: the best at the border is found, and a round fails less than the first that went beyond it', async () => {
    const tactic = linas({ population: 15, innerEvaluations: 3000 });
    const { trials, front } = await runSearch(problem, { tactic, evaluations: 120, seed: 1 });
    const failed = [...new Set(trials.map(({ round }) => round))].map(
      (round) => trials.filter((trial) => trial.round === round && trial.status === 'failed').length,
    );
    expect(front[0]!.values['accuracy']).toBeGreaterThanOrEqual(30.7);
    const worst = failed.indexOf(Math.max(...failed));
    expect(Math.min(...failed.slice(worst))).toBeLessThan(failed[worst]! / 2);
  });

  it.each([1, 2, 3])(
    'are learnt from with two objectives: seed %i finds the front up to the border and fails ever less',
    async (seed) => {
      const both: SearchProblem = {
        ...problem,
        objectives: [
          ...problem.objectives,
          {
            name: 'cost',
            kind: 'measured',
            evaluate: (genes) => genes.reduce((sum, gene, i) => sum + gene * (i + 1), 0),
          },
        ],
      };
      const tactic = linas({ population: 15, innerEvaluations: 2000 });
      const { trials, front } = await runSearch(both, { tactic, evaluations: 105, seed });
      const failed = (from: number, to: number): number =>
        trials.slice(from, to).filter(({ status }) => status === 'failed').length / (to - from);
      expect(Math.max(...front.map(({ values }) => values['accuracy']!))).toBeGreaterThanOrEqual(30.7);
      expect(front.length).toBeGreaterThan(15);
      expect(failed(60, 105)).toBeLessThan(failed(15, 60));
    },
  );
});
