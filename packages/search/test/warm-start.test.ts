// Warm starts: what the other study says must mean the same here; what it cannot offer is said.
import { Random } from '@instatune/nsga2';
import { describe, expect, it } from 'vitest';
import type { Objective, SearchProblem } from '../src/problem.ts';
import { resume, runSearch } from '../src/run/run-search.ts';
import { Study } from '../src/study/study.ts';

const quick = { tactic: { name: 'linas', innerEvaluations: 500 }, population: 6, evaluations: 12, seed: 1 } as const;
const sum = (genes: readonly number[]) => genes.reduce((a, b) => a + b, 0);

const latency: Objective = { name: 'latency', kind: 'measured', unit: 'ms', evaluate: (genes) => 1 + sum(genes) };
const accuracy: Objective = {
  name: 'accuracy',
  kind: 'measured',
  direction: 'maximize',
  evaluate: (genes) => 100 - genes.reduce((a, b) => a + (9 - b) ** 2, 0) / 10,
};
const size: Objective = { name: 'size', kind: 'exact', unit: 'MB', evaluate: (genes) => 2 * sum(genes) };
const variables = [0, 1, 2].map((i) => ({ type: 'integer', lower: 0, upper: 9, name: `g${i}` }) as const);
const problemOf = (objectives: readonly Objective[], space: SearchProblem['space'] = variables): SearchProblem => ({
  name: 'device',
  space,
  objectives,
});
const here = problemOf([latency, accuracy, size]);
const source = (await runSearch(here, { ...quick, tactic: 'random' })).study;
const start = (
  problem: SearchProblem,
  options: { trust?: string[]; study?: Study; share?: number; trials?: number[] } = {},
) => runSearch(problem, { ...quick, warmStart: { study: source, ...options } });

describe('a study whose numbers mean something else', () => {
  it.each<[string, SearchProblem, string[], RegExp]>([
    ['another unit', problemOf([{ ...latency, unit: 's' }, accuracy, size]), [], /latency in "ms", here it is in "s"/],
    ['another unit of what is computed', problemOf([latency, accuracy, { ...size, unit: 'GB' }]), [], /size in "MB"/],
    [
      'another direction',
      problemOf([latency, { ...accuracy, direction: 'minimize' }, size]),
      [],
      /accuracy to maximize, here it is to minimize/,
    ],
    [
      'another name',
      problemOf([{ ...latency, name: 'energy' }, accuracy]),
      [],
      /no objective energy \(but latency, accuracy, size\)/,
    ],
    [
      'a unit it does not give, trusted',
      problemOf([latency, { ...accuracy, unit: '%' }, size]),
      ['accuracy'],
      /accuracy in no unit, here it is in "%"/,
    ],
    [
      'genes of other names',
      problemOf(
        [latency, accuracy],
        variables.map((v, i) => ({ ...v, name: `h${i}` })),
      ),
      [],
      /same space/,
    ],
    [
      'genes of another range',
      problemOf(
        [latency, accuracy],
        variables.map((v) => ({ ...v, upper: 8 })),
      ),
      [],
      /same space/,
    ],
  ])('is refused: %s', async (_, problem, trust, message) => {
    const running = start(problem, { trust });
    await expect(running).rejects.toMatchObject({ code: 'space-mismatch' });
    await expect(running).rejects.toThrow(message);
  });

  it.each<[string, SearchProblem]>([
    [
      'fields of the variables in another order',
      problemOf(
        here.objectives,
        variables.map(({ type, lower, upper, name }) => ({ name, upper, lower, type })),
      ),
    ],
    ['objectives in another order', problemOf([size, accuracy, latency])],
    [
      'a computed objective less, or more',
      problemOf([latency, accuracy, { name: 'depth', kind: 'exact', evaluate: ([a]) => a! }]),
    ],
    ['a direction that is said or left out', problemOf([{ ...latency, direction: 'minimize' }, accuracy])],
  ])('is not, for %s', async (_, problem) => {
    const { trials } = await start(problem);
    expect(trials.filter(({ origin }) => origin === 'warm').length).toBeGreaterThan(0);
  });

  it('is computed again where it is computed: the other study’s table may have been another', async () => {
    const other = problemOf([
      latency,
      accuracy,
      { ...size, evaluate: (genes: readonly number[]) => 1000 - sum(genes) },
    ]);
    const bounded = { ...other, constraints: ['size <= 990'] };
    const { trials } = await start(bounded);
    const warm = trials.filter(({ origin }) => origin === 'warm');
    expect(warm.length).toBeGreaterThan(0);
    for (const { genes } of warm) expect(sum(genes)).toBeGreaterThanOrEqual(10);
  });

  it('nor is a study gone on with in another unit', async () => {
    const { study } = await runSearch(here, { ...quick, tactic: 'random' });
    const other = problemOf([{ ...latency, unit: 's' }, accuracy, size]);
    await expect(resume(other, { study, evaluations: 14 })).rejects.toMatchObject({ code: 'space-mismatch' });
    await expect(resume(other, { study, evaluations: 14 })).rejects.toThrow(/latency in "ms", here it is in "s"/);
    expect((await resume(here, { study, evaluations: 14 })).trials).toHaveLength(14);
  });
});

describe('a study with nothing to offer', () => {
  it('says so: no trials, none that is complete', async () => {
    const empty = new Study(source.header);
    await expect(start(here, { study: empty })).rejects.toMatchObject({
      code: 'empty-warm-start',
      message: expect.stringContaining('none of its 0 trials is complete') as string,
    });
    const failed = new Study(source.header);
    failed.propose(0, [{ genes: [1, 2, 3], origin: 'random', key: '1,2,3', seed: 1 }]);
    failed.fail(0, 'no device', 1);
    await expect(start(here, { study: failed })).rejects.toMatchObject({
      code: 'empty-warm-start',
      details: { trials: 1, failed: 1 },
    });
    await expect(start(here, { study: source, trials: [998, 999] })).rejects.toMatchObject({
      code: 'empty-warm-start',
      message: expect.stringContaining('none of the trials 998, 999 of its') as string,
    });
  });

  it('but numbers to learn from says in the first round that none of its candidates is inside the constraints', async () => {
    const least = Math.min(...source.trials.map(({ genes }) => sum(genes)));
    const { study, trials } = await runSearch(here, {
      ...quick,
      warmStart: { study: source },
      constraints: [`size <= ${2 * least - 1}`],
    });
    expect(trials.filter(({ origin }) => origin === 'warm')).toEqual([]);
    expect(study.rounds[0]!.info).toMatchObject({
      warm: 0,
      note: expect.stringContaining('inside the exact constraints') as string,
    });
    expect((await start(here)).study.rounds[0]!.info).not.toHaveProperty('note');
  });
});

describe('a search', () => {
  /** The problem with each objective, and what bounds it, in another unit. */
  const inUnits = (factors: Readonly<Record<string, number>>): SearchProblem => ({
    ...problemOf(
      here.objectives.map((objective): Objective => {
        const factor = factors[objective.name]!;
        return objective.kind === 'exact'
          ? { ...objective, evaluate: (genes: readonly number[]) => factor * objective.evaluate(genes) }
          : { ...objective, evaluate: async (genes, context) => factor * (await objective.evaluate!(genes, context)) };
      }),
    ),
    constraints: [`size <= ${40 * factors['size']!}`, `latency <= ${17.5 * factors['latency']!}`],
  });

  it.each([
    { name: 'linas', innerEvaluations: 600 },
    { name: 'nsga2' },
    { name: 'successive', innerEvaluations: 600, optimize: 'accuracy' },
  ] as const)('by $name measures the same candidates in any unit', async (tactic) => {
    const random = new Random(4);
    const run = async (factors: Readonly<Record<string, number>>, study: Study) => {
      const problem = inUnits(factors);
      const { trials, front } = await runSearch(problem, {
        tactic,
        population: 6,
        evaluations: 24,
        seed: 2,
        warmStart: { study },
      });
      return { keys: trials.map(({ key }) => key), front: front.map(({ number }) => number) };
    };
    const plain = await run({ latency: 1, accuracy: 1, size: 1 }, source);
    for (let round = 0; round < 2; round++) {
      const power = () => 2 ** random.integer(-40, 40);
      expect(await run({ latency: power(), accuracy: power(), size: power() }, source)).toEqual(plain);
    }
  });
});
